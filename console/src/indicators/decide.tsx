// Allowing, watching for or blocking the value of an entity, with what that would have matched.
import { Ban, Eye, ShieldCheck } from 'lucide-react';
import { useCan, useGet } from '../api/queries';
import type { EntityKey, IndicatorAction, IndicatorKind, IndicatorPreview, IndicatorSpec } from '../api/types';
import { useT } from '../i18n';
import { parseEntity, visible } from '../lib/entity';
import { useAsk } from '../actions/order';
import { Button } from '../ui/button';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';

const KINDS: Record<string, IndicatorKind> = { file: 'fileSha256', ip: 'ip', domain: 'domain', url: 'url', sender: 'senderAddress' };
const ICONS = { allow: ShieldCheck, audit: Eye, block: Ban } as const;

/** Buttons for what an administrator may decide about a value; nothing for entities that are no values. */
export function Decide({ entity, name, incident }: { entity: EntityKey; name: string; incident?: string | null }) {
  const { t } = useT();
  const ask = useAsk();
  const may = useCan('act');
  const { kind, value } = parseEntity(entity);
  const of = KINDS[kind];
  if (!of) return null;
  const spec = (action: IndicatorAction): IndicatorSpec => ({ kind: of, value, action, severity: action === 'block' ? 'high' : 'medium', note: name.slice(0, 200), expires_at: null });
  return (
    <div className="row wrapping" data-test="decide">
      {(['allow', 'audit', 'block'] as const).map((action) => {
        const Icon = ICONS[action];
        return (
          <Button key={action} compact variant={action === 'block' ? 'danger' : undefined} why={!may && t('states.needRole', { role: t('role.responder') })} data-test={`decide-${action}`}
            onClick={() => ask({ spec: { kind: 'add_indicator', indicator: spec(action) }, incident })}>
            <Icon size={14} aria-hidden />{t(`decide.${action}`)}
          </Button>
        );
      })}
    </div>
  );
}

/** What an indicator would have matched, told before it is ordered. */
export function WouldMatch({ spec }: { spec: IndicatorSpec }) {
  const { t, text } = useT();
  const previewed = Object.values(KINDS).includes(spec.kind);
  const preview = useGet<IndicatorPreview>(previewed ? '/indicators/preview' : null, { kind: spec.kind, value: spec.value });
  if (!previewed) return null;
  return (
    <section className="column" style={{ gap: 6 }} data-test="would-match" aria-live="polite">
      <Loaded query={preview} rows={2}>
        {(seen) => (
          <>
            <p className={`banner ${seen.devices + seen.mailboxes > 20 && spec.action === 'block' ? 'high' : 'info'}`}>
              {t(seen.exact ? 'decide.would' : 'decide.wouldAtLeast', { devices: seen.devices, mailboxes: seen.mailboxes, times: seen.times, alerts: seen.alerts, days: seen.days })}
            </p>
            {seen.device_names.length + seen.mailbox_names.length ? <p className="small secondary wrap">{[...seen.device_names, ...seen.mailbox_names].map(visible).join(', ')}</p> : null}
            {seen.first_seen ? <p className="small secondary">{t('decide.first')} <Ago at={seen.first_seen} /></p> : null}
            {spec.action === 'block' && seen.refused ? <p className="banner high">{t('decide.refused')}: {text(seen.refused)}</p> : null}
            {seen.indicator ? <p className="small">{t('decide.now')}: {t(`indicatorState.${seen.indicator.spec.action}`)}</p> : null}
          </>
        )}
      </Loaded>
    </section>
  );
}
