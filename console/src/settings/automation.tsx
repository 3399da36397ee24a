import { useCan, useGet, usePatch } from '../api/queries';
import { automationLevels, type Settings } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Chip } from '../ui/chips';
import { Card, Facts } from '../ui/field';
import { Loaded } from '../ui/states';
import { useToast } from '../ui/toast';
import { Policy } from './policy';

export function Automation() {
  const { t } = useT();
  const settings = useGet<Settings>('/settings');
  const may = useCan('administer');
  const toast = useToast();
  const change = usePatch<Settings>('/settings');
  return (
    <Loaded query={settings}>
      {(data) => (
        <>
          <Card title={t('settings.automation')}>
            <fieldset className="column" style={{ border: 0, margin: 0, padding: 0 }} disabled={!may}>
              <legend className="secondary" style={{ marginBottom: 10 }}>{may ? t('settings.automationHint') : t('states.needRole', { role: t('role.administrator') })}</legend>
              {automationLevels.map((level) => (
                <label key={level} className="radio-card">
                  <input type="radio" name="level" checked={data.automation_level === level}
                    onChange={() => change.mutate({ body: { automation_level: level }, base: data }, { onSuccess: () => toast.ok(t('words.saved')), onError: toast.failed })} />
                  <span><span className="strong">{t(`automation.${level}`)}</span><br /><span className="secondary">{t(`automationHint.${level}`)}</span></span>
                </label>
              ))}
            </fieldset>
          </Card>
          <Policy server={data.automation_level} />
          <Card title={t('settings.server')}>
            <Facts rows={[
              [t('settings.version'), visible(data.server.version)], [t('settings.publicUrl'), visible(data.server.public_url)], [t('settings.sensorUrl'), visible(data.server.sensor_url)],
              [t('settings.store'), visible(data.server.store)],
              [t('settings.mailboxes'), data.server.mailboxes ? <Chip key="m" tone="ok">{t('auth.on')}</Chip> : <Chip key="m">{t('auth.off')}</Chip>],
              [t('settings.alertMail'), data.server.notify ? <Chip key="n" tone="ok">{t('auth.on')}</Chip> : <Chip key="n">{t('auth.off')}</Chip>],
              [t('settings.ownDomains'), data.server.own_domains.map(visible).join(', ') || '—'],
            ]} />
          </Card>
        </>
      )}
    </Loaded>
  );
}
