// How far the mailboxes were read in the background.
import { useState } from 'react';
import { useGet } from '../api/queries';
import type { CrawlStatus } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { number } from '../lib/time';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Ago } from '../ui/time';

const STATES = ['waiting', 'running', 'done', 'failed'] as const;
const TONES = { waiting: '', running: 'accent', done: 'ok', failed: 'high' } as const;
const ROWS_MAX = 500;

export function CrawlNote() {
  const { t, language } = useT();
  const crawl = useGet<CrawlStatus>('/mail/crawl', undefined, { poll: 60_000 }).data;
  const [open, setOpen] = useState(false);
  if (!crawl) return null;
  if (!crawl.enabled) return <span className="small" data-test="crawl">{t('crawl.off')}</span>;
  const rows = crawl.items.toSorted((a, b) => order(a.state) - order(b.state)).slice(0, ROWS_MAX);
  return (
    <span className="row wrapping small" data-test="crawl">
      {t('crawl.line', { finished: number(crawl.finished, language), mailboxes: number(crawl.mailboxes, language), mails: number(crawl.mails, language) })}
      {crawl.running > 0 ? <Chip tone="accent">{t('crawl.running', { count: crawl.running })}</Chip> : null}
      {crawl.failed > 0 ? <Chip tone="medium">{t('crawl.failed', { count: crawl.failed })}</Chip> : null}
      <Button variant="text" onClick={() => setOpen(true)} data-test="crawl-open">{t('crawl.open')}</Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={t('crawl.title')}>
        <div className="table-scroll" style={{ maxHeight: '60dvh', overflow: 'auto' }} tabIndex={0} role="region" aria-label={t('crawl.title')}>
          <table className="plain">
            <thead><tr><th>{t('columns.mailbox')}</th><th>{t('columns.state')}</th><th>{t('crawl.mails')}</th><th>{t('crawl.skipped')}</th><th>{t('crawl.next')}</th></tr></thead>
            <tbody>
              {rows.map((one) => (
                <tr key={one.mailbox}>
                  <td className="wrap">{visible(one.mailbox)}{one.error ? <div className="small secondary wrap">{visible(one.error)}</div> : null}</td>
                  <td>{known(one.state) ? <Chip tone={TONES[one.state]}>{t(`crawl.state.${one.state}`)}</Chip> : visible(one.state)}</td>
                  <td className="num">{number(one.mails, language)}</td>
                  <td className="num">{number(one.skipped, language)}</td>
                  <td><Ago at={one.next_at} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Dialog>
    </span>
  );
}

const known = (state: string): state is (typeof STATES)[number] => (STATES as readonly string[]).includes(state);
const order = (state: string) => ['failed', 'running', 'waiting', 'done'].indexOf(state);
