// The filter bar: words or `field:value` typed, any field by the form, each filter a removable chip.
import { Plus, Search, X } from 'lucide-react';
import { useEffect, useId, useMemo, useRef, useState, type FormEvent, type RefObject } from 'react';
import type { MailField } from '../api/types';
import { useT } from '../i18n';
import { shortHash } from '../lib/entity';
import { dateTime } from '../lib/time';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Field, Select } from '../ui/field';
import { fieldGroups, fields, mailFields } from './fields';
import { addToken, parseTyped, problemOf, ranges, sameToken, split, type MailQuery, type RangeName, type Token } from './filter';
import { fieldKey, useMailWord } from './words';

interface Props {
  query: MailQuery;
  onChange: (query: MailQuery) => void;
  inputRef?: RefObject<HTMLInputElement | null>;
}

export function FilterBar({ query, onChange, inputRef }: Props) {
  const { t, language } = useT();
  const { tokens, span } = query;
  const [typed, setTyped] = useState('');
  const [editing, setEditing] = useState<Token | 'new' | null>(null);
  const set = (next: Token[]) => onChange({ tokens: next, span });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const token = parseTyped(typed);
    if (!token) return;
    set(addToken(tokens, token));
    setTyped('');
  };
  const names = [...(Object.keys(ranges) as RangeName[]), 'all' as const];
  const custom = span.range === 'custom';
  return (
    <div className="column" style={{ gap: 8 }} role="search" aria-label={t('filters.label')}>
      <div className="filters">
        <form className="search-field mail-search" onSubmit={submit}>
          <Search size={15} aria-hidden />
          <input ref={inputRef} className="input" type="search" value={typed} placeholder={t('explorer.search')} aria-label={t('explorer.search')}
            data-test="mail-search" onChange={(event) => setTyped(event.target.value)} />
        </form>
        <Button onClick={() => setEditing(editing ? null : 'new')} aria-expanded={editing !== null} data-test="add-filter">
          <Plus size={15} aria-hidden />
          {t('explorer.add')}
        </Button>
        <Select shown={false} label={t('explorer.time')} value={span.range} active={custom}
          onChange={(range) => onChange({ tokens, span: { range: range as RangeName | 'all' } })}
          choices={[...(custom ? [{ value: 'custom', label: t('explorer.range.custom') }] : []), ...names.map((range) => ({ value: range, label: t(`explorer.range.${range}`) }))]} />
        {custom ? (
          <Chip tone="accent">
            {span.from && span.to ? t('explorer.between', { from: dateTime(span.from, language).slice(0, -3), to: dateTime(span.to, language).slice(0, -3) })
              : span.from ? t('explorer.since', { from: dateTime(span.from, language).slice(0, -3) })
              : t('explorer.until', { to: dateTime(span.to ?? '', language).slice(0, -3) })}
            <button type="button" aria-label={t('explorer.drop', { name: t('explorer.time') })} onClick={() => onChange({ tokens, span: { range: 'all' } })}><X size={13} aria-hidden /></button>
          </Chip>
        ) : null}
        {tokens.map((token) => (
          <TokenChip key={`${token.negate}${token.field}${token.values.join()}`} token={token} onEdit={() => setEditing(token)}
            onDrop={() => { set(tokens.filter((one) => one !== token)); setEditing(null); }} />
        ))}
        {tokens.length > 0 || custom ? <Button variant="text" onClick={() => { setEditing(null); onChange({ tokens: [], span: { range: 'all' } }); }} data-test="clear-filters">{t('states.clearFilters')}</Button> : null}
      </div>
      {editing ? (
        <TokenForm key={editing === 'new' ? 'new' : `${editing.field}${editing.values.join()}`} token={editing === 'new' ? null : editing} onClose={() => setEditing(null)}
          onDone={(token) => {
            const others = editing === 'new' ? tokens : tokens.filter((one) => !sameToken(one, editing));
            set(addToken(others, token));
            setEditing(null);
          }} />
      ) : null}
    </div>
  );
}

/** A filter in words: `Sender is not a or b`. */
export function useTokenWords() {
  const { t } = useT();
  const word = useMailWord();
  return ({ field, negate, values }: Token) => {
    const shown = values.map((value) => (/^[0-9a-f]{40,}$/.test(value) ? shortHash(value) : word(field, value)));
    return { name: t(fieldKey(field)), sense: negate ? t('explorer.not') : '', values: shown.join(` ${t('explorer.or')} `) };
  };
}

function TokenChip({ token, onEdit, onDrop }: { token: Token; onEdit: () => void; onDrop: () => void }) {
  const { t } = useT();
  const { name, sense, values } = useTokenWords()(token);
  return (
    <span className="chip accent token" data-test="token" data-field={token.field}>
      <button type="button" className="edit" onClick={onEdit} title={t('explorer.change', { name })}>
        <span className="name">{name}</span> {sense ? <b>{sense}</b> : null} <span className="truncate">{values}</span>
      </button>
      <button type="button" aria-label={t('explorer.drop', { name: `${name} ${values}` })} onClick={onDrop}><X size={13} aria-hidden /></button>
    </span>
  );
}

function TokenForm({ token, onDone, onClose }: { token: Token | null; onDone: (token: Token) => void; onClose: () => void }) {
  const { t } = useT();
  const word = useMailWord();
  const id = useId();
  const [field, setField] = useState<MailField>(token?.field ?? 'sender_domain');
  const [negate, setNegate] = useState(token?.negate ?? false);
  const [value, setValue] = useState(token?.values.join(',') ?? '');
  const [problem, setProblem] = useState<ReturnType<typeof problemOf>>(null);
  const first = useRef<HTMLSelectElement>(null);
  useEffect(() => first.current?.focus(), []);
  const { entry, choices } = fields[field];
  const chosen = useMemo(() => new Set(value.split(',').filter(Boolean)), [value]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wrong = problemOf(field, value);
    setProblem(wrong);
    if (!wrong) onDone({ field, negate, values: split(field, value) });
  };
  const toggle = (one: string) => {
    const next = new Set(chosen);
    if (!next.delete(one)) next.add(one);
    setValue([...next].join(','));
    setProblem(null);
  };
  return (
    <form className="token-form" onSubmit={submit} onKeyDown={(event) => event.key === 'Escape' && onClose()} data-test="filter-form">
      <div className="field">
        <label htmlFor={`${id}-field`}>{t('explorer.field')}</label>
        <select ref={first} id={`${id}-field`} className="select" value={field} data-test="filter-field"
          onChange={(event) => { setField(event.target.value as MailField); setValue(''); setProblem(null); }}>
          {fieldGroups.map((group) => (
            <optgroup key={group} label={t(`fieldGroup.${group}`)}>
              {mailFields.filter((one) => fields[one].group === group).map((one) => <option key={one} value={one}>{t(fieldKey(one))}</option>)}
            </optgroup>
          ))}
        </select>
      </div>
      {entry === 'number' ? null : (
        <Select label={t('explorer.sense')} value={String(negate)} onChange={(next) => setNegate(next === 'true')}
          choices={[{ value: 'false', label: t('explorer.is') }, { value: 'true', label: t('explorer.isNot') }]} />
      )}
      {entry === 'choice' ? (
        <fieldset className="field choices">
          <legend>{t('explorer.value')}</legend>
          <div className="row wrapping">
            {choices?.map((one) => (
              <label key={one} className="row"><input type="checkbox" className="checkbox" checked={chosen.has(one)} onChange={() => toggle(one)} />{word(field, one)}</label>
            ))}
          </div>
          <span className={problem ? 'error' : 'hint'}>{problem ? t(`explorer.badValue.${problem}`) : t('explorer.choose')}</span>
        </fieldset>
      ) : (
        <div className="grow value">
          <Field label={t('explorer.value')} value={value} inputMode={entry === 'number' ? 'numeric' : undefined} maxLength={2_000} data-test="filter-value"
            onChange={(event) => { setValue(event.target.value); setProblem(null); }}
            error={problem ? t(`explorer.badValue.${problem}`) : null} hint={entry === 'words' ? t('explorer.several') : undefined} />
        </div>
      )}
      <div className="row buttons">
        <Button type="submit" variant="primary" data-test="filter-done">{t('explorer.addThis')}</Button>
        <Button onClick={onClose}>{t('words.cancel')}</Button>
      </div>
    </form>
  );
}
