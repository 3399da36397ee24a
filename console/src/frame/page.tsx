import { ChevronRight } from 'lucide-react';
import { useEffect, type ReactNode } from 'react';
import { Link } from '../lib/router';

export interface Crumb { label: string; to?: string }

/** One page: title of the window, one h1, buttons, content. */
export function Page({ title, heading, subtitle, chips, crumbs, buttons, children, full }: {
  title: string; heading?: ReactNode; subtitle?: ReactNode; chips?: ReactNode; crumbs?: Crumb[]; buttons?: ReactNode;
  children: ReactNode; full?: boolean;
}) {
  useEffect(() => {
    document.title = `${title} · Hinomi`;
  }, [title]);
  return (
    <div className={`page ${full ? 'full' : ''}`}>
      <header className="page-head">
        <div className="titles">
          {crumbs ? (
            <nav className="crumbs" aria-label="breadcrumb">
              {crumbs.map((crumb, index) => (
                <span key={crumb.label} className="row" style={{ gap: 6 }}>
                  {index > 0 ? <ChevronRight size={12} aria-hidden /> : null}
                  {crumb.to ? <Link to={crumb.to}>{crumb.label}</Link> : crumb.label}
                </span>
              ))}
            </nav>
          ) : null}
          <h1>{heading ?? title}</h1>
          {chips ? <div className="row wrapping">{chips}</div> : null}
          {subtitle ? <div className="secondary">{subtitle}</div> : null}
        </div>
        {buttons ? <div className="buttons">{buttons}</div> : null}
      </header>
      {children}
    </div>
  );
}
