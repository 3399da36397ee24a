import type { Incident, IncidentSummary, Listed, User } from '../api/types';
import { useCan, useGet, useMe } from '../api/queries';
import { useT } from '../i18n';
import type { Choice } from '../ui/field';

/** The order of tactics along an attack; ATT&CK names. */
export const TACTICS = [
  'initial-access', 'execution', 'persistence', 'privilege-escalation', 'defense-evasion', 'credential-access', 'discovery',
  'lateral-movement', 'collection', 'command-and-control', 'exfiltration', 'impact',
] as const;
export type Tactic = (typeof TACTICS)[number];

const asTactic = (name: string) => name.toLowerCase().replaceAll(' ', '-').replaceAll('_', '-');

export function useTacticName() {
  const { t } = useT();
  return (name: string): string => {
    const tactic = asTactic(name) as Tactic;
    return TACTICS.includes(tactic) ? t(`tactic.${tactic}`) : name;
  };
}

/** One small cell per tactic, filled when the incident reached it. */
export function TacticCells({ tactics }: { tactics: string[] }) {
  const name = useTacticName();
  const reached = new Set(tactics.map(asTactic));
  const names = TACTICS.filter((tactic) => reached.has(tactic)).map(name).join(', ');
  return (
    <span className="tactic-cells" role="img" aria-label={names || '—'} title={names}>
      {TACTICS.map((tactic) => (
        <i key={tactic} className={reached.has(tactic) ? 'on' : ''} />
      ))}
    </span>
  );
}

export const incidentName = (number: number) => `INC-${number}`;

/** Names of people who can own something; without the right to list them, only oneself. */
export function useOwners(): string[] {
  const may = useCan('administer');
  const me = useMe();
  const users = useGet<Listed<User>>(may ? '/users' : null, { limit: 200 });
  const names = users.data?.items.filter((user) => !user.disabled).map((user) => user.name) ?? [];
  if (me && !names.includes(me.user.name)) names.unshift(me.user.name);
  return names;
}

export function useOwnerChoices(current: string | null): Choice[] {
  const { t } = useT();
  const owners = useOwners();
  const names = current && !owners.includes(current) ? [current, ...owners] : owners;
  return [{ value: '', label: t('words.nobody') }, ...names.map((name) => ({ value: name, label: name }))];
}

export function durationOf(incident: Incident | IncidentSummary): number {
  return Date.parse(incident.last_activity) - Date.parse(incident.first_activity);
}
