import { Route, SearchX } from 'lucide-react';
import { Link, useSearchParams } from '../lib/router';
import { useGet } from '../api/queries';
import type { SearchAnswer, SearchHit } from '../api/types';
import { useT } from '../i18n';
import { pageOf, parseEntity, shown, to, visible } from '../lib/entity';
import { Chip } from '../ui/chips';
import { EntityIcon } from '../ui/icons';
import { Empty, Loaded } from '../ui/states';
import { Page } from './page';
import '../styles/pages.css';

function pageOfHit(hit: SearchHit): string | undefined {
  switch (hit.kind) {
    case 'incident':
      return to.incident(hit.key);
    case 'alert':
      return to.alert(hit.key);
    case 'investigation':
      return to.investigation(hit.key);
    case 'device':
      return hit.key.includes(':') ? pageOf(hit.key) : to.device(hit.key);
    case 'file':
      return hit.key.includes(':') ? pageOf(hit.key) : to.file(hit.key);
    case 'message':
      return hit.key.includes(':') ? pageOf(hit.key) : to.message(hit.key);
    case 'entity':
      return pageOf(hit.key);
  }
}

export default function SearchPage() {
  const { t } = useT();
  const [params] = useSearchParams();
  const text = params.get('q') ?? '';
  const answer = useGet<SearchAnswer>(text ? '/search' : null, { q: text });
  return (
    <Page title={t('search.title')} subtitle={text ? t('search.for', { text: visible(text) }) : undefined}
      buttons={text ? <Link className="button" to={to.pivot(text)} data-test="pivot"><Route size={15} aria-hidden />{t('pivot.follow')}</Link> : undefined}>
      <div className="card">
        {text ? (
          <Loaded query={answer}>
            {({ hits }) =>
              hits.length === 0 ? (
                <Empty title={t('search.none')} icon={<SearchX size={34} strokeWidth={1.4} aria-hidden />}>{t('search.noneHint')}</Empty>
              ) : (
                <ul>{hits.map((hit) => <Hit key={`${hit.kind}${hit.key}`} hit={hit} />)}</ul>
              )
            }
          </Loaded>
        ) : (
          <Empty title={t('search.title')}>{t('search.hint')}</Empty>
        )}
      </div>
    </Page>
  );
}

function Hit({ hit }: { hit: SearchHit }) {
  const { t } = useT();
  const page = pageOfHit(hit);
  const kind = hit.kind === 'entity' ? parseEntity(hit.key).kind : null;
  const body = (
    <>
      <Chip tone="outline">
        {kind ? <EntityIcon kind={kind} size={13} /> : null}
        {kind ? t(`entity.${kind}`) : t(`search.kinds.${hit.kind}`)}
      </Chip>
      <span className="strong truncate">{shown(kind ?? '', hit.title)}</span>
      <span className="secondary truncate">{visible(hit.detail)}</span>
    </>
  );
  return <li>{page ? <Link to={page} className="need">{body}</Link> : <span className="need">{body}</span>}</li>;
}
