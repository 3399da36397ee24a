import { Crosshair } from 'lucide-react';
import { Link } from '../lib/router';
import type { Evidence } from '../api/types';
import { useT } from '../i18n';
import { pageOf, parseEntity, shown, visible } from '../lib/entity';
import { useDeviceNames } from '../devices/names';
import { Chip, RemediationChip, VerdictChip } from '../ui/chips';
import { EntityLink } from '../ui/entity';
import { Facts } from '../ui/field';
import { Ago, Time } from '../ui/time';

export function EvidenceTable({ evidence }: { evidence: Evidence[] }) {
  const { t, text } = useT();
  const weight = { malicious: 3, suspicious: 2, unknown: 1, noThreatsFound: 0 };
  const rows = evidence.toSorted((a, b) => weight[b.verdict] - weight[a.verdict] || a.entity.localeCompare(b.entity));
  return (
    <div className="table-scroll">
      <table className="plain">
        <thead>
          <tr>
            <th>{t('columns.entity')}</th><th>{t('columns.verdict')}</th><th>{t('columns.why')}</th>
            <th>{t('columns.remediation')}</th><th>{t('columns.firstSeen')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((item) => (
            <tr key={item.entity}>
              <td style={{ minWidth: 170, maxWidth: 320 }}><EntityLink entity={item.entity} name={item.name} /><div className="small secondary">{t(`entity.${parseEntity(item.entity).kind}`)}</div></td>
              <td><VerdictChip verdict={item.verdict} /></td>
              <td className="wrap" style={{ minWidth: 170 }}>{visible(text(item.reason))}</td>
              <td>
                <RemediationChip status={item.remediation_status} />
                {item.remediation_detail ? <div className="small secondary wrap">{visible(text(item.remediation_detail))}</div> : null}
              </td>
              <td className="secondary"><Ago at={item.first_seen} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One piece of evidence with everything known about it. */
export function EvidenceDetails({ item, bare }: { item?: Evidence; bare?: string }) {
  const { t, text } = useT();
  const names = useDeviceNames();
  const key = item?.entity ?? bare ?? '';
  const { kind, value } = parseEntity(key);
  const page = pageOf(key);
  const name = kind === 'device' ? names(value) : item?.name || value;
  return (
    <div className="column">
      <h3 className="wrap">{shown(kind, name)}</h3>
      <div className="row wrapping">
        <Chip tone="outline">{t(`entity.${kind}`)}</Chip>
        {item ? <VerdictChip verdict={item.verdict} /> : null}
        {item ? <RemediationChip status={item.remediation_status} /> : null}
      </div>
      {item ? <p className="wrap">{visible(text(item.reason))}</p> : null}
      {item?.remediation_detail ? <p className="secondary wrap">{visible(text(item.remediation_detail))}</p> : null}
      <Facts
        rows={[
          ...Object.entries(item?.facts ?? {}).map(([fact, content]): [string, React.ReactNode] => [factName(t, fact), <span key={fact} className="mono wrap">{visible(content)}</span>]),
          item ? [t('columns.role'), t(`role_evidence.${item.role}`)] : null,
          item ? [t('columns.firstSeen'), <Time key="t" at={item.first_seen} />] : null,
          [t('columns.key'), <code key="k" className="wrap">{visible(key)}</code>],
        ]}
      />
      {page ? (
        <div>
          <Link className="button" to={page}>
            <Crosshair size={15} aria-hidden />
            {t('story.pivot')}
          </Link>
        </div>
      ) : null}
    </div>
  );
}

const FACTS = [
  'path', 'command_line', 'subject', 'sender', 'recipient', 'sha256', 'address', 'port', 'pid', 'user', 'device', 'size', 'image', 'url', 'folder', 'parent',
] as const;
type FactName = (typeof FACTS)[number];

/** Known facts in the viewer's language, others as they are called. */
export function factName(t: ReturnType<typeof useT>['t'], fact: string): string {
  return (FACTS as readonly string[]).includes(fact) ? t(`fact.${fact as FactName}`) : visible(fact.replaceAll('_', ' '));
}
