// Fields and values of the explorer in the reader's language.
import { useCallback } from 'react';
import { deliveryActions, deliveryLocations, mailDirections, mailSources, threatTypes, verdicts, type MailField } from '../api/types';
import { useT, type Key, type Translate } from '../i18n';
import { visible } from '../lib/entity';
import { bools, findings } from './fields';

const has = <T extends string>(words: readonly T[], value: string): value is T => (words as readonly string[]).includes(value);

/** A value of an enumeration as people say it; everything else as it is, made visible. */
export function mailWord(t: Translate, field: MailField, value: string): string {
  switch (field) {
    case 'verdict':
      return has(verdicts, value) ? t(`verdict.${value}`) : visible(value);
    case 'threat':
      return has(threatTypes, value) ? t(`threat.${value}`) : visible(value);
    case 'location':
    case 'original_location':
      return has(deliveryLocations, value) ? t(`location.${value}`) : visible(value);
    case 'delivery_action':
      return has(deliveryActions, value) ? t(`deliveryAction.${value}`) : visible(value);
    case 'direction':
      return has(mailDirections, value) ? t(`mailDirection.${value}`) : visible(value);
    case 'source':
      return has(mailSources, value) ? t(`mailSource.${value}`) : visible(value);
    case 'finding':
      return has(findings, value) ? t(`mailFinding.${value}`) : visible(value);
    case 'bulk':
      return has(bools, value) ? t(`yesNo.${value}`) : visible(value);
    default:
      return visible(value);
  }
}

export function useMailWord() {
  const { t } = useT();
  return useCallback((field: MailField, value: string) => mailWord(t, field, value), [t]);
}

export const fieldKey = (field: MailField): Key => `mailField.${field}`;
