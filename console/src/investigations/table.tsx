import { Link } from '../lib/router';
import type { InvestigationSummary } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { duration, ms } from '../lib/time';
import { Chip, InvestigationChip } from '../ui/chips';
import { Ago } from '../ui/time';

export function InvestigationTable({ items }: { items: InvestigationSummary[] }) {
  const { t, text, language } = useT();
  return (
    <div className="table-scroll">
      <table className="plain">
        <thead><tr><th>{t('nav.investigation')}</th><th>{t('columns.status')}</th><th>{t('columns.device')}</th><th>{t('columns.found')}</th><th>{t('columns.started')}</th><th>{t('columns.duration')}</th></tr></thead>
        <tbody>
          {items.map((item) => (
            <tr key={item.id}>
              <td><Link to={to.investigation(item.id)} className="strong">#{item.number} {visible(text(item.title))}</Link></td>
              <td><InvestigationChip state={item.state} />{item.state_reason ? <div className="small secondary wrap">{visible(text(item.state_reason))}</div> : null}</td>
              <td>{item.device ? <Link to={to.device(item.device.id)}>{visible(item.device.name)}</Link> : '—'}</td>
              <td>
                <span className="row wrapping">
                  {item.malicious ? <Chip tone="high">{t('investigation.malicious', { count: item.malicious })}</Chip> : null}
                  {item.suspicious ? <Chip tone="medium">{t('investigation.suspicious', { count: item.suspicious })}</Chip> : null}
                  <span className="secondary">{t('investigation.entities', { count: item.entities })}</span>
                </span>
              </td>
              <td className="secondary"><Ago at={item.started_at} /></td>
              <td className="num">{item.ended_at ? duration(ms(item.ended_at) - ms(item.started_at), language) : '…'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
