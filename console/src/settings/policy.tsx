// The automation policy: groups, hours, guard rails, two persons, expiry; and what it would have done.
import { Plus, X } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { useCan, useGet, usePatch } from '../api/queries';
import { actionKinds, type AutomationLevel, type AutomationPolicy, type AutomationScope, type UpdateAutomation } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Button } from '../ui/button';
import { Card, Field, TextArea } from '../ui/field';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';
import { Preview } from './preview';
import { Scope } from './scope';

const PARTS = ['time_zone', 'groups', 'devices', 'mail', 'guards', 'two_persons', 'expiry_hours', 'notice_hours'] as const;
const lines = (text: string) => text.split('\n').map((line) => line.trim()).filter(Boolean);
const words = (text: string) => text.split(',').map((word) => word.trim()).filter(Boolean);

/** What of a draft differs from the policy in force. */
function changes(base: AutomationPolicy, draft: AutomationPolicy): UpdateAutomation {
  return Object.fromEntries(PARTS.filter((part) => JSON.stringify(base[part]) !== JSON.stringify(draft[part])).map((part) => [part, draft[part]]));
}

export function Policy({ server }: { server: AutomationLevel }) {
  const policy = useGet<AutomationPolicy>('/automation');
  return <Loaded query={policy}>{(data) => <Editor key={data.version} base={data} server={server} />}</Loaded>;
}

function Editor({ base, server }: { base: AutomationPolicy; server: AutomationLevel }) {
  const { t } = useT();
  const may = useCan('administer');
  const toast = useToast();
  const save = usePatch<AutomationPolicy>('/automation', '/actions');
  const [draft, setDraft] = useState(base);
  const set = (part: Partial<AutomationPolicy>) => setDraft({ ...draft, ...part });
  const change = changes(base, draft);
  const groups = draft.groups;
  const guards = draft.guards;
  const group = (at: number, next: Partial<(typeof groups)[number]>) => set({ groups: groups.map((one, index) => (index === at ? { ...one, ...next } : one)) });
  return (
    <>
      <Preview server={server} change={change} />
      <Card title={t('policy.title')} head={base.changed_at ? <span className="secondary small">{t('policy.changed', { who: base.changed_by })} <Ago at={base.changed_at} /></span> : null}>
        <fieldset className="column" style={{ border: 0, margin: 0, padding: 0, gap: 18 }} disabled={!may}>
          <legend className="secondary" style={{ marginBottom: 10 }}>{may ? t('policy.hint') : t('states.needRole', { role: t('role.administrator') })}</legend>
          <Field label={t('policy.zone')} hint={t('policy.zoneHint')} value={draft.time_zone} onChange={(event) => set({ time_zone: event.target.value })} style={{ maxWidth: 260 }} />
          {groups.map((one, at) => (
            <Part key={at} title={`${t('policy.group')}: ${visible(one.name)}`} remove={
              <Button compact icon title={t('policy.removeGroup', { name: one.name })} aria-label={t('policy.removeGroup', { name: one.name })}
                onClick={() => set({ groups: groups.filter((_, index) => index !== at) })}><X size={14} aria-hidden /></Button>
            }>
              <div className="row wrapping" style={{ gap: 12 }}>
                <Field label={t('policy.name')} value={one.name} maxLength={64} onChange={(event) => group(at, { name: event.target.value })} />
                <Field label={t('policy.tags')} defaultValue={one.device_tags.join(', ')} onChange={(event) => group(at, { device_tags: words(event.target.value) })} />
              </div>
              <Scope scope={one.rules ?? EMPTY} server={server} change={(rules) => group(at, { rules })} />
            </Part>
          ))}
          <div>
            <Button compact onClick={() => set({ groups: [...groups, { name: `${t('policy.group')} ${groups.length + 1}`, device_tags: [], rules: EMPTY }] })} data-test="add-group">
              <Plus size={14} aria-hidden />{t('policy.addGroup')}
            </Button>
          </div>
          <Part title={t('policy.devices')}><Scope scope={draft.devices} server={server} change={(devices) => set({ devices })} /></Part>
          <Part title={t('policy.mail')}><Scope scope={draft.mail} server={server} change={(mail) => set({ mail })} /></Part>
          <Part title={t('policy.guards')}>
            <p className="secondary small">{t('policy.guardsHint')}</p>
            <div className="policy-lists">
              {([['processes', 'policy.processes'], ['devices', 'policy.guardDevices'], ['device_tags', 'policy.guardTags'], ['mailboxes', 'policy.mailboxes']] as const).map(([name, label]) => (
                <Lines key={name} label={t(label)} values={guards[name]} change={(values) => set({ guards: { ...guards, [name]: values } })} />
              ))}
            </div>
            <div className="row wrapping" style={{ gap: 12 }}>
              <Field label={t('policy.copiesMax')} type="number" min={0} max={5000} value={guards.copies_max} onChange={(event) => set({ guards: { ...guards, copies_max: Number(event.target.value) } })} />
              <Field label={t('policy.devicesMax')} type="number" min={0} max={5000} value={guards.devices_max} onChange={(event) => set({ guards: { ...guards, devices_max: Number(event.target.value) } })} />
            </div>
          </Part>
          <Part title={t('policy.twoPersons')}>
            <div className="policy-lists">
              {actionKinds.map((kind) => (
                <label key={kind} className="row">
                  <input type="checkbox" className="checkbox" checked={draft.two_persons.includes(kind)} data-test={`two-${kind}`}
                    onChange={(event) => set({ two_persons: actionKinds.filter((one) => (one === kind ? event.target.checked : draft.two_persons.includes(one))) })} />
                  {t(`actionKind.${kind}`)}
                </label>
              ))}
            </div>
          </Part>
          <Part title={t('policy.expiry')}>
            <div className="row wrapping" style={{ gap: 12 }}>
              <Field label={t('policy.expiryHours')} type="number" min={1} max={2160} value={draft.expiry_hours} onChange={(event) => set({ expiry_hours: Number(event.target.value) })} />
              <Field label={t('policy.noticeHours')} type="number" min={0} max={2159} value={draft.notice_hours} onChange={(event) => set({ notice_hours: Number(event.target.value) })} />
            </div>
          </Part>
          <div>
            <Button variant="primary" busy={save.isPending} why={Object.keys(change).length === 0 && t('policy.unchanged')} data-test="policy-save"
              onClick={() => save.mutate({ body: change, base }, { onSuccess: () => toast.ok(t('words.saved')), onError: toast.failed })}>
              {t('policy.save')}
            </Button>
          </div>
        </fieldset>
      </Card>
    </>
  );
}

const EMPTY: AutomationScope = { level: null, unanswered: { then: 'wait', minutes: 0 }, hours: [] };

function Part({ title, remove, children }: { title: string; remove?: ReactNode; children: ReactNode }) {
  return (
    <section className="policy-part" aria-label={title}>
      <div className="row"><h3 className="grow">{title}</h3>{remove}</div>
      {children}
    </section>
  );
}

/** A list, one entry a line; what is typed stays as it is until it is left. */
function Lines({ label, values, change }: { label: string; values: string[]; change: (values: string[]) => void }) {
  const [text, setText] = useState(values.join('\n'));
  return <TextArea label={label} value={text} onChange={(next) => { setText(next); change(lines(next)); }} />;
}
