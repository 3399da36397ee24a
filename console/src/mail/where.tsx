// Where the copies of a message are, in few words.
import type { DeliveryLocation, RecipientState } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { number } from '../lib/time';
import { LocationChip } from '../ui/chips';

export function placesOf(recipients: RecipientState[], of: (state: RecipientState) => DeliveryLocation = (state) => state.latest_location): [DeliveryLocation, number][] {
  const counts = new Map<DeliveryLocation, number>();
  for (const state of recipients) counts.set(of(state), (counts.get(of(state)) ?? 0) + 1);
  return [...counts].toSorted((a, b) => b[1] - a[1]);
}

/** A chip per place, with how many where there are several. */
export function Places({ recipients, of }: { recipients: RecipientState[]; of?: (state: RecipientState) => DeliveryLocation }) {
  const { language } = useT();
  const places = placesOf(recipients, of);
  return (
    <span className="row" style={{ gap: 4 }}>
      {places.map(([location, count]) => (
        <span key={location} className="row" style={{ gap: 3 }}>
          <LocationChip location={location} />
          {places.length > 1 ? <span className="num small secondary">{number(count, language)}</span> : null}
        </span>
      ))}
    </span>
  );
}

/** The copies as a table: each mailbox, where it was delivered to, where it is now and who moved it. */
export function CopyTable({ recipients, compact }: { recipients: RecipientState[]; compact?: boolean }) {
  const { t } = useT();
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label={t('explorer.recipients')}>
      <table className="plain">
        <thead><tr><th>{t('columns.mailbox')}</th>{compact ? null : <th>{t('columns.delivered')}</th>}<th>{t('columns.now')}</th></tr></thead>
        <tbody>
          {recipients.map((state) => (
            <tr key={state.recipient} data-test="copy">
              <td className="wrap">{visible(state.recipient)}</td>
              {compact ? null : <td><LocationChip location={state.delivery_location} /></td>}
              <td>
                <LocationChip location={state.latest_location} />
                {state.folder && state.latest_location === 'inbox' && state.folder !== 'INBOX' ? <span className="small secondary"> {visible(state.folder)}</span> : null}
                {state.moved_by ? <div className="small secondary">{state.moved_by === 'owner' ? t('explorer.movedOwner') : t('explorer.movedAction')}</div> : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The action that moved a copy last. */
export function moverOf(state: { moved_by: string | null }): string | null {
  return state.moved_by?.startsWith('action:') ? state.moved_by.slice('action:'.length) : null;
}
