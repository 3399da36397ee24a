// Tuning rules, and how often detection rules were wrong.
import { Plus } from 'lucide-react';
import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, remove as removeAt } from '../api/client';
import { invalidate, useCan, useGet } from '../api/queries';
import type { Listed, RuleQuality, TuningRule } from '../api/types';
import { Page } from '../frame/page';
import { useNow, useT } from '../i18n';
import { visible } from '../lib/entity';
import { ms } from '../lib/time';
import { Link } from '../lib/router';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Card } from '../ui/field';
import { Empty, Loaded } from '../ui/states';
import { Tabs } from '../ui/tabs';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';
import { TuningEditor } from './editor';
import { empty, useWhat, useWords } from './words';
import '../styles/pages.css';

export default function TuningPage() {
  const { t } = useT();
  const may = useCan('act');
  const [open, setOpen] = useState<TuningRule | 'new' | null>(null);
  const rules = useGet<Listed<TuningRule>>('/tuning');
  const why = !may && t('states.needRole', { role: t('role.responder') });
  return (
    <Page title={t('nav.tuning')} buttons={<Button variant="primary" why={why} data-test="tuning-add" onClick={() => setOpen('new')}><Plus size={15} aria-hidden />{t('tuning.add')}</Button>}>
      <Tabs label={t('nav.tuning')} tabs={[
        { id: 'rules', label: t('tuning.rules'), count: rules.data?.items.length, body: () => <Rules rules={rules} why={why} edit={setOpen} /> },
        { id: 'quality', label: t('tuning.quality'), body: () => <Quality /> },
      ]} />
      {open ? <TuningEditor rule={open === 'new' ? null : open} begin={open === 'new' ? empty() : open} onClose={() => setOpen(null)} /> : null}
    </Page>
  );
}

function Rules({ rules, why, edit }: { rules: ReturnType<typeof useGet<Listed<TuningRule>>>; why: string | false; edit: (rule: TuningRule) => void }) {
  const { t } = useT();
  const now = useNow();
  const what = useWhat();
  const words = useWords();
  const [leaving, setLeaving] = useState<TuningRule | null>(null);
  const state = (rule: TuningRule) => {
    if (!rule.enabled) return <Chip>{t('tuning.off')}</Chip>;
    return rule.expires_at && ms(rule.expires_at) <= now ? <Chip>{t('tuning.expired')}</Chip> : <Chip tone="ok">{t('tuning.on')}</Chip>;
  };
  return (
    <Card flush title={t('tuning.rules')}>
      <Loaded query={rules}>
        {({ items }) => items.length === 0 ? <Empty title={t('tuning.none')}>{t('tuning.noneHint')}</Empty> : (
          <div className="table-scroll" tabIndex={0} role="region" aria-label={t('tuning.rules')}>
            <table className="plain">
              <thead><tr><th>{t('columns.status')}</th><th>{t('columns.name')}</th><th>{t('tuning.does')}</th><th>{t('columns.hits')}</th><th>{t('columns.expires')}</th><th>{t('columns.owner')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
              <tbody>
                {items.map((rule) => (
                  <tr key={rule.id} data-test="tuning-rule">
                    <td>{state(rule)}</td>
                    <td className="wrap" style={{ minWidth: 240 }}>
                      <span className="strong">{visible(rule.title)}</span>
                      {rule.conditions.map((condition, index) => <div key={index} className="small secondary">{words(condition)}</div>)}
                      {rule.comment ? <div className="small">{visible(rule.comment)}</div> : null}
                    </td>
                    <td style={{ minWidth: 130 }}>{what(rule)}</td>
                    <td className="num">{rule.hits}{rule.last_hit ? <div className="small secondary"><Ago at={rule.last_hit} /></div> : null}</td>
                    <td>{rule.expires_at ? <Ago at={rule.expires_at} /> : t('words.never')}</td>
                    <td>{visible(rule.owner)}</td>
                    <td><span className="row" style={{ gap: 6, justifyContent: 'flex-end' }}>
                      <Button compact why={why} data-test="tuning-edit" onClick={() => edit(rule)}>{t('tuning.edit')}</Button>
                      <Button compact why={why} onClick={() => setLeaving(rule)}>{t('tuning.remove')}</Button>
                    </span></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
      {leaving ? <Remove rule={leaving} onClose={() => setLeaving(null)} /> : null}
    </Card>
  );
}

function Remove({ rule, onClose }: { rule: TuningRule; onClose: () => void }) {
  const { t } = useT();
  const toast = useToast();
  const remove = useMutation<TuningRule, ApiError>({
    mutationFn: () => removeAt<TuningRule>(`/tuning/${rule.id}`),
    onSuccess: () => { toast.ok(t('tuning.removed')); onClose(); },
    onError: toast.failed,
    onSettled: () => invalidate('/tuning'),
  });
  return (
    <Dialog open onClose={onClose} title={t('tuning.remove')} description={t('tuning.removeHint', { title: visible(rule.title) })} confirm={t('tuning.remove')} danger
      busy={remove.isPending} onConfirm={() => remove.mutate()} test="tuning-remove" />
  );
}

function Quality() {
  const { t, text, language } = useT();
  const quality = useGet<Listed<RuleQuality>>('/rules/quality');
  const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 });
  return (
    <Card flush title={t('tuning.quality')} head={<span className="secondary small">{t('tuning.qualityHint')}</span>}>
      <Loaded query={quality}>
        {({ items }) => items.length === 0 ? <Empty title={t('tuning.noAlerts')} /> : (
          <div className="table-scroll" tabIndex={0} role="region" aria-label={t('tuning.quality')}>
            <table className="plain">
              <thead><tr><th>{t('tuning.rule')}</th><th>{t('tuning.share')}</th><th>{t('tuning.alerts')}</th><th>{t('classification.truePositive')}</th><th>{t('tuning.expected')}</th><th>{t('classification.falsePositive')}</th><th>{t('tuning.open')}</th><th>{t('tuning.tuned')}</th><th>{t('columns.lastActivity')}</th></tr></thead>
              <tbody>
                {items.map((rule) => (
                  <tr key={rule.rule_id} data-test="rule-quality">
                    <td className="wrap" style={{ minWidth: 220 }}><Link to={`/alerts?status=all&rule=${encodeURIComponent(rule.rule_id)}`} className="strong">{visible(text(rule.title)) || visible(rule.rule_id)}</Link><div className="small secondary mono">{visible(rule.rule_id)}</div></td>
                    <td className="num">{typeof rule.false_positive_share === 'number' ? <Chip tone={rule.false_positive_share >= 0.5 ? 'high' : rule.false_positive_share >= 0.2 ? 'medium' : 'ok'}>{percent.format(rule.false_positive_share)}</Chip> : '—'}</td>
                    <td className="num">{rule.alerts}</td>
                    <td className="num">{rule.true_positive}</td>
                    <td className="num">{rule.expected}</td>
                    <td className="num">{rule.false_positive}</td>
                    <td className="num">{rule.unclassified}</td>
                    <td className="num">{rule.tuned}</td>
                    <td><Ago at={rule.last_alert} /></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Card>
  );
}
