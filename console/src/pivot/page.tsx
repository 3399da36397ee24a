// Where a value leads: devices, mailboxes, people, alerts and incidents, with what happened in order.
import { Ban, Download, ExternalLink, Laptop, Mail, Route, Search, SearchX } from 'lucide-react';
import { useState, type FormEvent } from 'react';
import { Link, useNavigate, useSearchParams } from '../lib/router';
import { ApiError } from '../api/client';
import { useCan, useGet } from '../api/queries';
import { pivotTypes, type IndicatorKind, type Pivot, type PivotDevice, type PivotMessage, type PivotType } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { pageOf, parseEntity, shown, to, visible } from '../lib/entity';
import { download } from '../lib/export';
import { number } from '../lib/time';
import { useAsk } from '../actions/order';
import { incidentName } from '../incidents/shared';
import { Places } from '../mail/where';
import { Button, CopyButton } from '../ui/button';
import { AlertStatusChip, Chip, IncidentStatusChip, SeverityChip, VerdictChip } from '../ui/chips';
import { EntityLink } from '../ui/entity';
import { Card, Field } from '../ui/field';
import { Empty, ErrorState, Skeleton, Stale } from '../ui/states';
import { Ago, Time } from '../ui/time';
import { STAGE_TONES, Way } from './way';
import '../styles/pages.css';
import '../styles/mail.css';

/** Indicator a value of a type can become. */
const BLOCKS: Partial<Record<PivotType, IndicatorKind>> = { sha256: 'fileSha256', url: 'url', domain: 'domain', ip: 'ip', mailAddress: 'senderAddress' };

/** Parts of an answer that may be cut. */
const PARTS = ['steps', 'devices', 'messages', 'copies', 'people', 'related', 'alerts'] as const;
const isPart = (word: string): word is (typeof PARTS)[number] => (PARTS as readonly string[]).includes(word);

export default function PivotPage() {
  const { t } = useT();
  const [params] = useSearchParams();
  const value = params.get('value')?.trim() ?? '';
  const asked = params.get('type');
  const type = pivotTypes.find((one) => one === asked);
  const query = useGet<Pivot>(value ? '/pivot' : null, { value, type });
  const crumbs = [{ label: t('search.title'), to: value ? to.search(value) : '/search' }, { label: t('pivot.title') }];
  if (!value) return <Page title={t('pivot.title')}><div className="card"><div className="card-body"><Ask value="" /></div></div></Page>;
  // an answer for another value is kept while this one is asked for: it is not shown as this one
  const data = query.isPlaceholderData ? undefined : query.data;
  if (!data) {
    return (
      <Page title={visible(value)} crumbs={crumbs}>
        {!query.error ? <Skeleton rows={8} height={30} /> : query.error instanceof ApiError && query.error.status === 400 ? (
          <div className="card"><Empty title={t('pivot.noValue')} icon={<SearchX size={34} strokeWidth={1.4} aria-hidden />} action={<Ask value={value} />}><Wrong error={query.error} /></Empty></div>
        ) : <ErrorState error={query.error} retry={() => void query.refetch()} />}
      </Page>
    );
  }
  return (
    <>
      <Stale query={query} />
      <Body pivot={data} asked={value} />
    </>
  );
}

function Wrong({ error }: { error: ApiError }) {
  const { language } = useT();
  return <>{error.text(language)}</>;
}

function Ask({ value }: { value: string }) {
  const { t } = useT();
  const navigate = useNavigate();
  const [text, setText] = useState(value);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) navigate(to.pivot(text.trim()));
  };
  return (
    <form className="pivot-ask" onSubmit={submit}>
      <Field label={t('pivot.value')} hint={t('pivot.hint')} value={text} maxLength={4_096} onChange={(event) => setText(event.target.value)} className="input mono" data-test="pivot-value" />
      <Button type="submit" variant="primary"><Search size={15} aria-hidden />{t('pivot.follow')}</Button>
    </form>
  );
}

function Body({ pivot, asked }: { pivot: Pivot; asked: string }) {
  const { t, text, language } = useT();
  const ask = useAsk();
  const may = useCan('act');
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const page = pivot.entity ? pageOf(pivot.entity) : undefined;
  const own = page && !page.startsWith('/pivot') ? page : undefined;
  const title = shown(pivot.type, pivot.value);
  const kind = BLOCKS[pivot.type];
  const blocked = pivot.indicator?.spec.action === 'block';
  const mailboxes = new Set(pivot.messages.items.flatMap((one) => one.copies.map((copy) => copy.recipient))).size;
  const least = (count: number, exact: boolean) => (exact ? number(count, language) : t('pivot.atLeast', { count: number(count, language) }));
  return (
    <Page title={title} heading={<span className="wrap">{title}</span>} crumbs={[{ label: t('search.title'), to: to.search(asked) }, { label: t('pivot.title') }]}
      chips={
        <>
          <Chip tone="outline">{t(`pivotType.${pivot.type}`)}</Chip>
          <VerdictChip verdict={pivot.verdict} />
          {pivot.indicator ? <Chip tone={blocked ? 'high' : 'ok'}>{t(`indicatorState.${pivot.indicator.spec.action}`)}</Chip> : null}
        </>
      }
      subtitle={pivot.could_be.length > 0 ? (
        <span className="row wrapping small">{t('pivot.couldBe')} {pivot.could_be.map((one) => <Link key={one} to={`${to.pivot(asked)}&type=${one}`} data-test={`as-${one}`}>{t(`pivotType.${one}`)}</Link>)}</span>
      ) : undefined}
      buttons={
        <>
          <CopyButton text={pivot.value} label={t('words.copy')} />
          {own ? <Link className="button" to={own}><ExternalLink size={15} aria-hidden />{t('pivot.openPage')}</Link> : null}
          <Button data-test="export" onClick={() => download('pivot.json', 'application/json', JSON.stringify(pivot, null, 2))}><Download size={15} aria-hidden />JSON</Button>
          {kind && !blocked ? (
            <Button variant="danger" why={why} data-test="block" onClick={() => ask({ spec: { kind: 'add_indicator', indicator: { kind, value: pivot.value, action: 'block', severity: 'medium', note: '', expires_at: null } } })}><Ban size={15} aria-hidden />{t('indicatorAct.block')}</Button>
          ) : null}
        </>
      }>
      {!pivot.known ? (
        <div className="card"><Empty title={t('pivot.unknown')} icon={<SearchX size={34} strokeWidth={1.4} aria-hidden />} action={<Ask value={asked} />}>{t('pivot.unknownHint')}</Empty></div>
      ) : (
        <>
          {pivot.truncated.length > 0 ? <div className="banner info" role="status" data-test="truncated"><span className="grow">{t('pivot.truncated', { parts: pivot.truncated.map((one) => (isPart(one) ? t(`pivot.part.${one}`) : visible(one))).join(', ') })}</span></div> : null}
          <div className="strip">
            <div><span className="label">{t('pivot.devicesTitle')}</span><span className="value num" data-test="devices">{least(pivot.devices.total, pivot.devices.exact)}</span></div>
            <div><span className="label">{t('wizard.messages')}</span><span className="value num" data-test="messages">{least(pivot.messages.total, pivot.messages.exact)}</span></div>
            <div><span className="label">{t('wizard.mailboxes')}</span><span className="value num" data-test="mailboxes">{least(mailboxes, !pivot.truncated.some((one) => one === 'messages' || one === 'copies'))}</span></div>
            <div><span className="label">{t('columns.firstSeen')}</span><span className="value">{pivot.first_seen ? <Time at={pivot.first_seen} /> : '—'}</span></div>
            <div><span className="label">{t('columns.lastSeen')}</span><span className="value">{pivot.last_seen ? <Ago at={pivot.last_seen} /> : '—'}</span></div>
          </div>
          {pivot.reach.length > 0 ? (
            <ol className="reach" aria-label={t('pivot.reach')}>
              {pivot.reach.map((one) => (
                <li key={one.stage} className={STAGE_TONES[one.stage] ?? ''}>
                  <span className="strong">{t(`stage.${one.stage}`)}</span>
                  <span className="small">{[one.devices > 0 && t('pivot.devices', { count: one.devices }), one.mailboxes > 0 && t('pivot.mailboxes', { count: one.mailboxes })].filter(Boolean).join(' · ')}</span>
                  <span className="small secondary"><Time at={one.first} /></span>
                </li>
              ))}
            </ol>
          ) : null}
          <div className="split">
            <div className="column" style={{ gap: 16 }}>
              <Card title={t('joined.title')} icon={<Route size={16} aria-hidden />}><Way steps={pivot.steps} asked={pivot.entity} /></Card>
              <Devices devices={pivot.devices.items} />
              <Messages messages={pivot.messages.items} />
            </div>
            <div className="side">
              <Card flush title={t('nav.incidents')}>
                {pivot.incidents.length === 0 ? <p className="card-pad secondary">{t('pivot.noIncidents')}</p> : (
                  <ul>{pivot.incidents.map((one) => <li key={one.id}><Link to={to.incident(one.number)} className="need"><SeverityChip severity={one.severity} /><span className="grow truncate">{incidentName(one.number)} {visible(text(one.title))}</span><IncidentStatusChip status={one.status} /></Link></li>)}</ul>
                )}
              </Card>
              <Card flush title={t('nav.alerts')}>
                {pivot.alerts.length === 0 ? <p className="card-pad secondary">{t('alert.none')}</p> : (
                  <ul>{pivot.alerts.map((one) => <li key={one.id}><Link to={to.alert(one.id)} className="need"><SeverityChip severity={one.severity} /><span className="grow truncate">{visible(text(one.title))}</span><AlertStatusChip status={one.status} /></Link></li>)}</ul>
                )}
              </Card>
              {pivot.people.length > 0 ? (
                <Card title={t('pivot.people')}>
                  <ul className="column" style={{ gap: 8 }}>{pivot.people.map(({ person, by }) => (
                    <li key={person.id}><span className="strong">{visible(person.name)}</span> <span className="small secondary">{[person.title, person.department].filter(Boolean).map((one) => visible(one!)).join(' · ')}</span>
                      <div className="row wrapping small">{by.map((entity) => <EntityLink key={entity} entity={entity} />)}</div></li>
                  ))}</ul>
                </Card>
              ) : null}
              {pivot.related.length > 0 ? (
                <Card title={t('pivot.related')}>
                  <ul className="column" style={{ gap: 6 }}>{pivot.related.map((one) => (
                    <li key={one.relation + one.entity} className="column" style={{ gap: 0 }}>
                      <span className="row"><EntityLink entity={one.entity} name={one.name} /></span>
                      <span className="small secondary">{t(`pivotRelation.${one.relation}`)}{one.devices > 0 ? ` · ${t('pivot.devices', { count: one.devices })}` : ''}</span>
                    </li>
                  ))}</ul>
                </Card>
              ) : null}
            </div>
          </div>
        </>
      )}
    </Page>
  );
}

/** Devices that had a value, with what happened to it there. */
export function Devices({ devices, title }: { devices: PivotDevice[]; title?: string }) {
  const { t } = useT();
  return (
    <Card flush title={title ?? t('pivot.devicesTitle')} icon={<Laptop size={16} aria-hidden />}>
      {devices.length === 0 ? <Empty title={t('pivot.noDevices')} /> : (
        <div className="table-scroll">
          <table className="plain">
            <thead><tr><th>{t('columns.device')}</th><th>{t('columns.path')}</th><th>{t('pivot.what')}</th><th>{t('columns.user')}</th><th>{t('columns.firstSeen')}</th></tr></thead>
            <tbody>
              {devices.map((one) => (
                <tr key={one.id + one.value} data-test="sighting">
                  <td className="name"><EntityLink entity={`device:${one.id}`} name={one.name} /></td>
                  <td className="mono wrap">{visible(one.called) || parseEntity(one.value).value}</td>
                  <td><span className="row wrapping" style={{ gap: 4 }}><Stages device={one} /></span></td>
                  <td className="secondary">{one.account ? visible(one.account) : '—'}</td>
                  <td className="secondary"><Ago at={one.first_seen} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function Stages({ device: { stages, count } }: { device: PivotDevice }) {
  const { t } = useT();
  const told = ([['saved', stages.saved_at], ['executed', stages.executed_at], ['connected', stages.connected_at], ['blocked', stages.blocked_at], ['deleted', stages.deleted_at]] as const).filter(([, at]) => at);
  if (told.length === 0) return <span className="secondary">{t('stage.seen')} ×{count}</span>;
  return told.map(([stage]) => <Chip key={stage} tone={STAGE_TONES[stage]} title={stage === 'saved' ? visible(stages.saved_by ?? '') : undefined}>{t(`stage.${stage}`)}</Chip>);
}

function Messages({ messages }: { messages: PivotMessage[] }) {
  const { t, language } = useT();
  return (
    <Card flush title={t('wizard.messages')} icon={<Mail size={16} aria-hidden />}>
      {messages.length === 0 ? <Empty title={t('pivot.noMessages')} /> : (
        <div className="table-scroll">
          <table className="plain">
            <thead><tr><th>{t('columns.subject')}</th><th>{t('columns.sender')}</th><th>{t('explorer.recipients')}</th><th>{t('columns.now')}</th><th>{t('columns.time')}</th></tr></thead>
            <tbody>
              {messages.toReversed().map((one) => (
                <tr key={one.id} data-test="pivot-message">
                  <td style={{ minWidth: 160 }}><Link to={to.message(one.id)}>{visible(one.subject) || t('mail.noSubject')}</Link>{one.carried_as.length > 0 ? <div className="small secondary wrap">{one.carried_as.map(visible).join(' › ')}</div> : null}</td>
                  <td className="secondary wrap">{visible(one.sender)}</td>
                  <td className="num">{number(one.copy_count, language)}</td>
                  <td><Places recipients={one.copies} /></td>
                  <td className="secondary"><Ago at={one.received_at} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}
