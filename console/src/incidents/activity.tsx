import { useState } from 'react';
import { post } from '../api/client';
import { invalidate, useCan } from '../api/queries';
import type { IncidentDetail } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Button } from '../ui/button';
import { Card, TextArea } from '../ui/field';
import { Empty } from '../ui/states';
import { Time } from '../ui/time';
import { useToast } from '../ui/toast';

/** Everything that happened to the incident and what people said, newest first. */
export function ActivityTab({ incident }: { incident: IncidentDetail }) {
  const { t, text } = useT();
  const lines = [
    ...incident.activities.map((activity) => ({ at: activity.at, who: activity.actor, words: text(activity.text), comment: false })),
    ...incident.comments.map((comment) => ({ at: comment.at, who: comment.author, words: comment.text, comment: true })),
  ].sort((a, b) => b.at.localeCompare(a.at));
  return (
    <div className="split">
      <Card title={t('incident.activity')}>
        {lines.length === 0 ? <Empty title={t('incident.noActivity')} /> : (
          <ol>
            {lines.map((line, index) => (
              <li key={index} className="activity">
                <span className={`dot ${line.comment ? 'comment' : ''}`} aria-hidden />
                <div>
                  <span className="strong">{visible(line.who)}</span> <span className="secondary small"><Time at={line.at} /></span>
                  <div className="wrap">{visible(line.words)}</div>
                </div>
              </li>
            ))}
          </ol>
        )}
      </Card>
      <div className="side"><AddComment route={`/incidents/${incident.number}/comments`} family="/incidents" /></div>
    </div>
  );
}

export function AddComment({ route, family }: { route: `/incidents/${string}/comments` | `/alerts/${string}/comments`; family: '/incidents' | '/alerts' }) {
  const { t } = useT();
  const may = useCan('triage');
  const toast = useToast();
  const [words, setWords] = useState('');
  const [busy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    try {
      await post(route, { text: words.trim() });
      setWords('');
      await invalidate(family);
    } catch (error) {
      toast.failed(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title={t('incident.comment')}>
      <div className="column">
        <TextArea label={t('incident.commentText')} value={words} onChange={setWords} />
        <div>
          <Button variant="primary" busy={busy} onClick={() => void send()} data-test="comment"
            why={!may ? t('states.needRole', { role: t('role.responder') }) : !words.trim() && t('incident.commentMissing')}>
            {t('incident.commentSend')}
          </Button>
        </div>
      </div>
    </Card>
  );
}
