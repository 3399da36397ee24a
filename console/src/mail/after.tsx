// What happened to the copies of a message after delivery: rows of EmailPostDeliveryEvents.
import { Link } from '../lib/router';
import { useGet } from '../api/queries';
import type { EventRow, Listed } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { Chip } from '../ui/chips';
import { Card } from '../ui/field';
import { Empty, Loaded } from '../ui/states';
import { Ago } from '../ui/time';

/** Who caused an act, in the words of the hunting tables. */
const TRIGGERS = ['AdminAction', 'SpecialAction', 'UserAction', 'ThirdPartySensors'] as const;

const str = (value: unknown) => (typeof value === 'string' ? value : '');

export function AfterDelivery({ id }: { id: string }) {
  const { t } = useT();
  const events = useGet<Listed<EventRow>>(`/messages/${encodeURIComponent(id)}/events`);
  return (
    <Card flush title={t('after.title')}>
      <Loaded query={events} rows={3}>{({ items }) => (items.length === 0 ? <Empty title={t('after.none')} /> : (
        <div className="box-scroll tall table-scroll" tabIndex={0} role="region" aria-label={t('after.title')}>
          <table className="plain">
            <thead><tr><th>{t('columns.time')}</th><th>{t('columns.mailbox')}</th><th>{t('columns.action')}</th><th>{t('after.by')}</th><th>{t('columns.result')}</th></tr></thead>
            <tbody>{items.map((event, index) => <Row key={index} event={event} />)}</tbody>
          </table>
        </div>
      ))}</Loaded>
    </Card>
  );
}

function Row({ event }: { event: EventRow }) {
  const { t } = useT();
  const more = (event.AdditionalFields ?? {}) as Record<string, unknown>;
  const action = str(more.ActionId);
  const failed = str(event.ActionResult) === 'Error';
  const way = [str(event.SourceLocation), str(event.DeliveryLocation)].filter(Boolean).map(visible).join(' → ');
  const by = TRIGGERS.find((one) => one === event.ActionTrigger);
  return (
    <tr data-test="after-event">
      <td className="secondary"><Ago at={event.Timestamp} /></td>
      <td className="wrap">{visible(str(event.RecipientEmailAddress))}</td>
      <td><span className="strong">{visible(str(event.Action)) || visible(str(event.ActionType))}</span>{way ? <div className="small secondary wrap">{way}</div> : null}</td>
      <td>{by ? t(`after.trigger.${by}`) : visible(str(event.ActionTrigger))}{action ? <div className="small"><Link to={to.action(action)}>{t('removal.open')}</Link></div> : null}</td>
      <td><Chip tone={failed ? 'high' : 'ok'} title={visible(str(more.Detail))}>{t(failed ? 'after.failed' : 'after.done')}</Chip></td>
    </tr>
  );
}
