// What another level or policy would have done with the actions proposed lately.
import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, post } from '../api/client';
import { automationLevels, previewOutcomes, type ActionSpec, type AutomationLevel, type AutomationPreview, type PreviewAutomation, type UpdateAutomation } from '../api/types';
import { useDescribe } from '../actions/describe';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { Link } from '../lib/router';
import { Button } from '../ui/button';
import { Card, Select } from '../ui/field';
import { Time } from '../ui/time';
import { useToast } from '../ui/toast';

export function Preview({ server, change }: { server: AutomationLevel; change: UpdateAutomation }) {
  const { t } = useT();
  const toast = useToast();
  const [level, setLevel] = useState<AutomationLevel>('full');
  const ask = useMutation<AutomationPreview, ApiError, PreviewAutomation>({
    mutationFn: (body) => post<AutomationPreview>('/automation/preview', body),
    onError: toast.failed,
  });
  return (
    <Card title={t('preview.title')}>
      <p className="secondary">{t('preview.hint')}</p>
      <div className="row wrapping" style={{ gap: 12, alignItems: 'flex-end', margin: '10px 0' }}>
        <Select label={t('preview.level')} value={level} onChange={(next) => setLevel(next as AutomationLevel)}
          choices={automationLevels.map((one) => ({ value: one, label: one === server ? t('policy.serverLevel', { level: t(`automation.${one}`) }) : t(`automation.${one}`) }))} />
        <Button variant="primary" busy={ask.isPending} onClick={() => ask.mutate({ automation_level: level, change, days: 30 })} data-test="preview-ask">{t('preview.ask')}</Button>
      </div>
      {ask.data ? <Result data={ask.data} /> : null}
    </Card>
  );
}

function Result({ data }: { data: AutomationPreview }) {
  const { t, text } = useT();
  const describe = useDescribe();
  if (data.actions === 0) return <p role="status" data-test="preview">{t('preview.none')}</p>;
  return (
    <div className="column" style={{ gap: 10 }} role="status" data-test="preview">
      <span className="strong">{t('preview.actions', { count: data.actions })} {data.cut ? <span className="secondary">{t('preview.cut')}</span> : null}</span>
      <div className="table-scroll" tabIndex={0} role="region" aria-label={t('preview.title')}>
        <table className="plain">
          <thead><tr><th>{t('columns.action')}</th>{previewOutcomes.map((one) => <th key={one} style={{ textAlign: 'right' }}>{t(`preview.outcome.${one}`)}</th>)}</tr></thead>
          <tbody>
            {data.counts.map((count) => (
              <tr key={count.kind} data-test="preview-count">
                <td>{t(`actionKind.${count.kind as ActionSpec['kind']}`)}</td>
                {previewOutcomes.map((one) => <td key={one} className="num" style={{ textAlign: 'right' }}>{count[one] || '—'}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <details>
        <summary>{t('preview.list')}</summary>
        <div className="table-scroll" tabIndex={0} role="region" aria-label={t('preview.list')}>
          <table className="plain">
            <thead><tr><th>{t('columns.action')}</th><th>{t('columns.result')}</th><th>{t('columns.time')}</th><th>{t('actions.reason')}</th></tr></thead>
            <tbody>
              {data.items.map((item) => {
                const { title, target } = describe(item.action.spec);
                return (
                  <tr key={item.action.id} data-test="preview-item">
                    <td style={{ minWidth: 170 }}><Link to={to.action(item.action.id)}>{title}</Link><div className="small secondary wrap">{visible(target)}</div></td>
                    <td>{t(`preview.outcome.${item.outcome}`)}</td>
                    <td><Time at={item.at} /></td>
                    <td className="wrap small" style={{ minWidth: 220 }}>{visible(text(item.reason))}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </details>
    </div>
  );
}
