// One message beside the list: what it is, where each copy is.
import { ExternalLink, X } from 'lucide-react';
import { Link } from '../lib/router';
import { useGet } from '../api/queries';
import type { ExplorerMessage, Listed, MessageCopy, RecipientState } from '../api/types';
import { useT } from '../i18n';
import { shortHash, to, visible } from '../lib/entity';
import { number } from '../lib/time';
import { Button } from '../ui/button';
import { Chip, VerdictChip } from '../ui/chips';
import { Facts } from '../ui/field';
import { Loaded } from '../ui/states';
import { Time } from '../ui/time';
import type { Token } from './filter';
import { EngineVerdicts } from './verdicts';
import { CopyTable } from './where';
import { useMailWord } from './words';

interface Props { onClose: () => void; onFilter: (token: Token) => void; onAct: (row: ExplorerMessage) => void; why: string | false }

/** `row` is what the list knows already; without it the message is asked for. */
export function MessagePane({ id, row, ...rest }: Props & { id: string; row: ExplorerMessage | undefined }) {
  const { t } = useT();
  const query = useGet<Listed<MessageCopy>>(row ? null : `/messages/${encodeURIComponent(id)}`);
  return (
    <aside className="pane" aria-label={t('explorer.pane')}>
      {row ? <Body row={row} {...rest} /> : (
        <Loaded query={query}>{({ items }) => items[0] ? <Body row={{ message: items[0], recipients: items, recipient_count: items.length }} {...rest} /> : <p className="secondary">{t('states.notFound')}</p>}</Loaded>
      )}
    </aside>
  );
}

function Body({ row, onClose, onFilter, onAct, why }: Props & { row: ExplorerMessage }) {
  const { t, language } = useT();
  const word = useMailWord();
  const { message } = row;
  const only = (field: Token['field'], value: string) => onFilter({ field, negate: false, values: [value] });
  const sender = message.sender_from || message.sender_mail_from;
  const states: RecipientState[] = row.recipients;
  return (
    <>
      <div className="pane-head">
        <h2><Link to={to.message(message.message_id)}>{visible(message.subject) || t('mail.noSubject')}</Link></h2>
        <Button variant="quiet" compact icon onClick={onClose} aria-label={t('words.close')}><X size={16} aria-hidden /></Button>
      </div>
      <div className="row wrapping">
        <VerdictChip verdict={message.verdict} />
        {message.threats.map((threat) => <Chip key={threat} tone="high">{t(`threat.${threat}`)}</Chip>)}
        {message.findings.map((code) => <Chip key={code} tone="medium">{word('finding', code)}</Chip>)}
      </div>
      <div className="row wrapping">
        <Link className="button primary" to={to.message(message.message_id)}><ExternalLink size={15} aria-hidden />{t('explorer.openPage')}</Link>
        <Button variant="danger" why={why} onClick={() => onAct(row)} data-test="pane-act">{t('explorer.act')}</Button>
      </div>
      <div className="row wrapping small">
        <Button variant="text" onClick={() => only('sender', sender)}>{t('explorer.sameSender')}</Button>
        {message.campaign ? <Button variant="text" onClick={() => only('campaign', message.campaign)} data-test="same-campaign">{t('explorer.sameCampaign')}</Button> : null}
      </div>
      <Facts rows={[
        [t('columns.received'), <Time key="r" at={message.received_at} />],
        [t('mail.headerFrom'), visible(message.sender_display_name ? `${message.sender_display_name} <${message.sender_from}>` : message.sender_from)],
        message.sender_mail_from !== message.sender_from && [t('mail.envelopeFrom'), visible(message.sender_mail_from) || '<>'],
        [t('message.authentication'), `SPF ${visible(message.auth.spf) || 'none'} · DKIM ${visible(message.auth.dkim) || 'none'} · DMARC ${visible(message.auth.dmarc) || 'none'}`],
        [t('message.source'), word('source', message.source)],
      ]} />
      <div>
        <h3>{t('explorer.recipients')} <span className="secondary num">{number(row.recipient_count, language)}</span></h3>
        <CopyTable recipients={states} compact />
        {row.recipient_count > states.length ? <p className="small secondary">{t('explorer.otherStates', { count: number(row.recipient_count - states.length, language) })}</p> : null}
      </div>
      {message.attachments.length > 0 ? (
        <div>
          <h3>{t('mail.attachments', { count: message.attachments.length })}</h3>
          <ul className="column" style={{ gap: 4 }}>{message.attachments.slice(0, 10).map((file, index) => <li key={index} className="spread" style={{ minHeight: 24 }}><span className="truncate">{visible(file.name)}</span><Link className="mono" to={to.file(file.sha256)}>{shortHash(file.sha256)}</Link></li>)}</ul>
        </div>
      ) : null}
      {message.filters.length > 0 ? <div><h3>{t('message.filters')}</h3><EngineVerdicts filters={message.filters} /></div> : null}
    </>
  );
}
