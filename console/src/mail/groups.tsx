// Messages alike as one row each: campaigns, or by one property.
import type { Query } from '../api/client';
import type { ExplorerGroup, ExplorerGroups } from '../api/types';
import { useCan, useGet } from '../api/queries';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { dateTime, number } from '../lib/time';
import { Button } from '../ui/button';
import { VerdictChip } from '../ui/chips';
import { Select } from '../ui/field';
import { Empty, ErrorState, Skeleton, Stale } from '../ui/states';
import { Ago } from '../ui/time';
import { addToken, filterOf, type MailQuery, type Token } from './filter';
import { Places } from './where';
import type { Scope } from './wizard';

export const groupings = ['campaign', 'subject', 'sender', 'attachments', 'urls', 'body'] as const;
export type Grouping = (typeof groupings)[number];
const GROUPS_MAX = 100;

/** The filter that shows a group; none where the sample has nothing that names it. */
function tokenOf(group: ExplorerGroup, by: Grouping): Token | null {
  const { message } = group.sample;
  const token = (field: Token['field'], value: string | undefined): Token | null => (value ? { field, negate: false, values: [value] } : null);
  switch (by) {
    case 'campaign':
      return token('campaign', group.key);
    case 'subject':
      return token('subject', message.subject);
    case 'sender':
      return token('sender', message.sender_from || message.sender_mail_from);
    case 'attachments':
      return token('attachment_sha256', message.attachments[0]?.sha256);
    case 'urls':
      return token('url_domain', message.url_domains[0]);
    case 'body':
      return token('fingerprint', message.fingerprint) ?? token('body_sha256', message.body_sha256);
  }
}

export function Groups({ query, asked, by, onBy, onOpen, onAct }: {
  query: MailQuery; asked: Query; by: Grouping; onBy: (by: Grouping) => void; onOpen: (token: Token) => void; onAct: (scope: Scope) => void;
}) {
  const { t, language } = useT();
  const groups = useGet<ExplorerGroups>('/mail/explorer/groups', { ...asked, group_by: by, limit: GROUPS_MAX });
  const may = useCan('act');
  const data = groups.data;
  return (
    <>
      <div className="group-head">
        <Select shown={false} label={t('explorer.groupBy')} value={by} onChange={(next) => onBy(next as Grouping)} choices={groupings.map((one) => ({ value: one, label: t(`explorer.groups.${one}`) }))} />
        <span className="small secondary">
          {data?.since ? t('explorer.groupsSince', { at: dateTime(data.since, language) }) : null} {data && data.alone > 0 ? t('explorer.alone', { count: data.alone }) : null}
        </span>
      </div>
      <Stale query={groups} />
      {!data ? (
        groups.error ? <ErrorState error={groups.error} retry={() => void groups.refetch()} /> : <Skeleton rows={8} height={40} />
      ) : data.items.length === 0 ? <Empty title={t('states.nothingMatches')} /> : (
        <div className="groups" role="list">
          {data.items.map((group) => {
            const token = tokenOf(group, by);
            const { message } = group.sample;
            return (
              <div key={group.key} role="listitem" className="group" data-test="group">
                <span className="figure num">{number(group.messages, language)}</span>
                <div className="column" style={{ gap: 3 }}>
                  <span className="row wrapping"><span className="strong">{visible(message.subject) || t('mail.noSubject')}</span><VerdictChip verdict={message.verdict} /><Places recipients={group.sample.recipients} /></span>
                  <span className="small secondary row wrapping">
                    <span>{visible(message.sender_from || message.sender_mail_from)}</span>
                    <span>· {t('explorer.groupMessages', { count: group.messages })}, {t('explorer.groupRecipients', { count: group.recipients })}</span>
                    <span>· <Ago at={group.last} /></span>
                    {message.attachments[0] ? <span>· {visible(message.attachments[0].name)}</span> : null}
                  </span>
                </div>
                <div className="row buttons">
                  <Button compact why={!token && t('states.nothingMatches')} onClick={() => token && onOpen(token)} data-test="group-open">{t('explorer.showGroup')}</Button>
                  <Button compact variant="danger" data-test="group-act" why={(!may && t('states.needRole', { role: t('role.responder') })) || (!token && t('states.nothingMatches'))}
                    onClick={() => token && onAct({ filter: filterOf({ ...query, tokens: addToken(query.tokens, token) }, Date.now()), messages: group.messages, known: [group.sample], all: true, since: new Date(groups.dataUpdatedAt).toISOString() })}>
                    {t('explorer.act')}
                  </Button>
                </div>
              </div>
            );
          })}
        </div>
      )}
    </>
  );
}
