import { CircleAlert, Search } from 'lucide-react';
import { useEffect, useId, useState, type InputHTMLAttributes, type ReactNode } from 'react';

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  hint?: ReactNode;
  error?: string | null;
}

export function Field({ label, hint, error, ...input }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="input"
        {...input}
        aria-invalid={error ? true : undefined}
        aria-describedby={error || hint ? `${id}-more` : undefined}
      />
      {error ? (
        <span className="error" id={`${id}-more`} role="alert">
          <CircleAlert size={13} aria-hidden />
          {error}
        </span>
      ) : hint ? (
        <span className="hint" id={`${id}-more`}>
          {hint}
        </span>
      ) : null}
    </div>
  );
}

export function TextArea({ label, value, onChange, placeholder, required }: {
  label: string; value: string; onChange: (text: string) => void; placeholder?: string; required?: boolean;
}) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <textarea id={id} className="input" value={value} placeholder={placeholder} required={required} maxLength={30_000}
        onChange={(event) => onChange(event.target.value)} />
    </div>
  );
}

export interface Choice { value: string; label: string }

export function Select({ label, value, onChange, choices, shown = true, active }: {
  label: string; value: string; onChange: (value: string) => void; choices: Choice[]; shown?: boolean; active?: boolean;
}) {
  const id = useId();
  const select = (
    <select id={id} className="select" value={value} data-active={active || undefined} aria-label={shown ? undefined : label}
      onChange={(event) => onChange(event.target.value)}>
      {choices.map((choice) => (
        <option key={choice.value} value={choice.value}>
          {choice.label}
        </option>
      ))}
    </select>
  );
  if (!shown) return select;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {select}
    </div>
  );
}

/** A search field that tells its text after the typing paused. */
export function SearchField({ label, value, onChange, inputRef }: {
  label: string; value: string; onChange: (text: string) => void; inputRef?: React.Ref<HTMLInputElement>;
}) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onChange(text), 250);
    return () => clearTimeout(timer);
  }, [text, value, onChange]);
  return (
    <div className="search-field">
      <Search size={15} aria-hidden />
      <input ref={inputRef} className="input" type="search" value={text} placeholder={label} aria-label={label}
        onChange={(event) => setText(event.target.value)} />
    </div>
  );
}

export function Card({ title, icon, head, children, flush, id }: {
  title: ReactNode; icon?: ReactNode; head?: ReactNode; children: ReactNode; flush?: boolean; id?: string;
}) {
  return (
    <section className={`card ${flush ? 'flush' : ''}`} id={id}>
      <div className="card-head">
        <h2>
          {icon}
          {title}
        </h2>
        {head}
      </div>
      <div className="card-body">{children}</div>
    </section>
  );
}

export function Facts({ rows }: { rows: ([string, ReactNode] | null | false)[] }) {
  return (
    <dl className="facts">
      {rows.map((row) =>
        row ? (
          <div key={row[0]} style={{ display: 'contents' }}>
            <dt>{row[0]}</dt>
            <dd>{row[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}
