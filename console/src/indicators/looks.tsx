// Looks back: what new indicators would have matched in events and mail that are already there.
import { useList } from '../api/queries';
import type { IndicatorLook } from '../api/types';
import { useT } from '../i18n';
import { shown, to } from '../lib/entity';
import { Link } from '../lib/router';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';

export function Looks({ onClose }: { onClose: () => void }) {
  const { t } = useT();
  const list = useList<IndicatorLook>('/indicators/looks');
  return (
    <Dialog open wide onClose={onClose} title={t('indicator.looks')} description={t('indicator.looksHint')}>
      <Loaded query={{ ...list, data: list.items }}>
        {(items) => items.length === 0 ? <p className="secondary">{t('indicator.noLooks')}</p> : (
          <div className="column" data-test="looks">{items.map((one) => <Look key={one.id} look={one} />)}</div>
        )}
      </Loaded>
    </Dialog>
  );
}

function Look({ look }: { look: IndicatorLook }) {
  const { t, text } = useT();
  return (
    <section className="column" style={{ gap: '4px' }}>
      <div className="row wrapping">
        <Chip tone={look.state === 'failed' ? 'high' : look.state === 'done' ? 'ok' : 'medium'}>{t(`lookState.${look.state}`)}</Chip>
        <Ago at={look.at} />
        <span className="small secondary">{t('indicator.lookProgress', { done: look.days_done, days: look.days, events: look.events, messages: look.messages })}</span>
      </div>
      {look.reason ? <p className="small">{text(look.reason)}</p> : null}
      {look.truncated ? <p className="small">{t('indicator.lookTruncated')}</p> : null}
      {look.found.length ? (
        <ul className="column" style={{ margin: 0, paddingInlineStart: '20px', gap: '8px' }}>
          {look.found.map((one) => (
            <li key={one.id} data-test="look-found">
              <span className="mono" style={{ overflowWrap: 'anywhere' }}>{shown(one.kind, one.value)}</span>
              <div className="small secondary">{t('indicator.lookSeen', { count: one.hits, devices: one.device_count, mailboxes: one.mailbox_count })} · <Ago at={one.last_seen} /></div>
              <div className="row wrapping small">
                {one.incidents.length ? <span>{t('indicator.lookIncidents', { count: one.incidents.length })}</span> : null}
                {one.actions.map((id, at) => <Link key={id} to={to.action(id)} style={{ textDecoration: 'underline' }}>{t('indicator.lookAction', { number: at + 1 })}</Link>)}
              </div>
              {one.not_ordered.map((why, at) => <div key={at} className="small secondary">{text(why)}</div>)}
            </li>
          ))}
        </ul>
      ) : look.state === 'done' ? <p className="small secondary">{t('indicator.lookNothing')}</p> : null}
    </section>
  );
}
