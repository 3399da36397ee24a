import { Link } from '../lib/router';
import type { EntityKey } from '../api/types';
import { entityLabel, pageOf, parseEntity, shown } from '../lib/entity';
import { useT } from '../i18n';
import { EntityIcon } from './icons';

/** An entity by name, with its icon, as a link to its page. */
export function EntityLink({ entity, name, icon = true }: { entity: EntityKey; name?: string; icon?: boolean }) {
  const { t } = useT();
  const { kind } = parseEntity(entity);
  const page = pageOf(entity);
  const text = name || entityLabel(entity);
  const label = shown(kind, text);
  const body = (
    <>
      {icon ? <EntityIcon kind={kind} size={14} /> : null}
      <span className="truncate">{label}</span>
    </>
  );
  const props = { className: 'row', title: `${t(`entity.${kind}`)}: ${label}` };
  return page ? (
    <Link to={page} {...props}>
      {body}
    </Link>
  ) : (
    <span {...props}>{body}</span>
  );
}
