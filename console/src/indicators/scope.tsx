// Where an indicator counts: tags of devices and domains of mail, as text with commas.
import type { IndicatorScope } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Field } from '../ui/field';

export interface ScopeText { tags: string; domains: string }
export const EVERYWHERE: ScopeText = { tags: '', domains: '' };

const parts = (text: string) => text.split(/[,、\s]+/).map((one) => one.trim()).filter(Boolean);

export const scopeOf = ({ tags, domains }: ScopeText): IndicatorScope => ({
  device_tags: tags.split(/[,、]/).map((one) => one.trim()).filter(Boolean), mail_domains: parts(domains).map((one) => one.toLowerCase()),
});

export const isEverything = (scope: IndicatorScope | undefined) => !scope?.device_tags?.length && !scope?.mail_domains?.length;

export function ScopeFields({ scope, onChange }: { scope: ScopeText; onChange: (scope: ScopeText) => void }) {
  const { t } = useT();
  return (
    <div className="row wrapping">
      <Field label={t('indicator.deviceTags')} value={scope.tags} maxLength={2_000} hint={t('indicator.scopeHint')} onChange={(event) => onChange({ ...scope, tags: event.target.value })} />
      <Field label={t('indicator.mailDomains')} value={scope.domains} maxLength={2_000} hint={t('indicator.scopeHint')} onChange={(event) => onChange({ ...scope, domains: event.target.value })} />
    </div>
  );
}

/** The scope as one line; nothing when it is everything. */
export function ScopeLine({ scope }: { scope: IndicatorScope | undefined }) {
  const { t } = useT();
  if (isEverything(scope)) return null;
  const words = [...(scope?.device_tags ?? []).map((tag) => `${t('indicator.tag')}: ${tag}`), ...(scope?.mail_domains ?? []).map((domain) => `@${domain}`)];
  return <span className="small secondary">{visible(words.join(', '))}</span>;
}
