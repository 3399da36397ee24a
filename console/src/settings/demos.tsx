// Demos: a recorded attack played through the normal ways in, and taken away again without trace.
import { FolderUp, Play, Trash2 } from 'lucide-react';
import { useMutation } from '@tanstack/react-query';
import { useEffect, useRef, useState, type ChangeEvent } from 'react';
import { Link } from '../lib/router';
import { ApiError, post, remove } from '../api/client';
import { invalidate, useList } from '../api/queries';
import type { DemoStatus, PlayDemo } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { incidentName } from '../incidents/shared';
import { Button } from '../ui/button';
import { Chip, SeverityChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Card } from '../ui/field';
import { Empty, Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';

/** What the server takes of a scenario. */
const FILES_MAX = 100;
const BYTES_MAX = 16 << 20;
/** While a demo comes to its end or goes away it is asked for this often. */
const POLL_MS = 2_000;
const WANTED = /^(scenario\.toml|events\/[^/]+\.jsonl|mail\/[^/]+\.eml)$/;
const TONES = { playing: 'accent', played: 'ok', removing: 'medium', failed: 'high' } as const;
const FAMILIES = ['/demos', '/incidents', '/alerts', '/devices', '/mail', '/messages', '/investigations', '/actions', '/files'];

export function Demos() {
  const { t } = useT();
  const toast = useToast();
  const list = useList<DemoStatus>('/demos');
  const going = list.items?.some((one) => one.demo.state === 'playing' || one.demo.state === 'removing' || !one.analysed || one.investigating > 0);
  const { refetch } = list;
  useEffect(() => {
    if (!going) return;
    const timer = setInterval(() => void refetch(), POLL_MS);
    return () => clearInterval(timer);
  }, [going, refetch]);
  const [gone, setGone] = useState<DemoStatus | null>(null);
  const folder = useRef<HTMLInputElement>(null);
  const play = useMutation<DemoStatus, ApiError, PlayDemo>({
    mutationFn: (order) => post<DemoStatus>('/demos', order),
    onSuccess: () => toast.ok(t('demo.played')),
    onError: toast.failed,
    onSettled: () => invalidate(...FAMILIES),
  });
  const drop = useMutation<unknown, ApiError, string>({
    mutationFn: (id) => remove(`/demos/${id}`),
    onSuccess: () => { toast.ok(t('demo.removing')); setGone(null); },
    onError: toast.failed,
    onSettled: () => invalidate(...FAMILIES),
  });
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const files = [...(event.target.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath.split('/').slice(1).join('/') })).filter(({ path }) => WANTED.test(path));
    const name = event.target.files?.[0]?.webkitRelativePath.split('/')[0];
    event.target.value = '';
    const size = files.reduce((sum, { file }) => sum + file.size, 0);
    if (!files.some(({ path }) => path === 'scenario.toml') || files.length > FILES_MAX || size > BYTES_MAX) {
      toast.failed(new Error(t('demo.badFolder')));
      return;
    }
    play.mutate({ name, files: await Promise.all(files.map(async ({ file, path }) => ({ path, content: base64(new Uint8Array(await file.arrayBuffer())) }))) });
  };
  return (
    <>
      <Card title={t('demo.title')}>
        <div className="column">
          <p className="secondary">{t('demo.about')}</p>
          <div className="row wrapping">
            <Button variant="primary" busy={play.isPending} onClick={() => play.mutate({ files: [] })} data-test="demo-play"><Play size={15} aria-hidden />{t('demo.play')}</Button>
            <Button busy={play.isPending} onClick={() => folder.current?.click()}><FolderUp size={15} aria-hidden />{t('demo.own')}</Button>
            <input ref={folder} type="file" hidden onChange={(event) => void choose(event)} data-test="demo-folder" {...{ webkitdirectory: '' }} />
          </div>
          <p className="small secondary">{t('demo.ownHint')}</p>
        </div>
      </Card>
      <Card flush title={t('settings.sections.demos')}>
        <Loaded query={{ ...list, data: list.items }}>
          {(items) => items.length === 0 ? <Empty title={t('demo.none')}>{t('demo.noneHint')}</Empty> : (
            <div className="table-scroll">
              <table className="plain">
                <thead><tr><th>{t('columns.name')}</th><th>{t('columns.status')}</th><th>{t('nav.incidents')}</th><th>{t('demo.data')}</th><th>{t('columns.time')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
                <tbody>{items.map((one) => <Row key={one.demo.id} status={one} onRemove={() => setGone(one)} />)}</tbody>
              </table>
            </div>
          )}
        </Loaded>
        {list.hasNextPage ? <div className="bulk"><Button compact onClick={() => void list.fetchNextPage()}>{t('grid.more')}</Button></div> : null}
      </Card>
      <Dialog open={gone !== null} onClose={() => setGone(null)} title={t('demo.remove')} description={gone ? visible(gone.demo.name) : undefined} confirm={t('demo.remove')} danger busy={drop.isPending}
        test="demo-remove-confirm" onConfirm={() => gone && drop.mutate(gone.demo.id)}>
        <p>{t('demo.removeHint')}</p>
      </Dialog>
    </>
  );
}

function base64(bytes: Uint8Array): string {
  let text = '';
  // a call takes only so many arguments
  for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
  return btoa(text);
}

function Row({ status, onRemove }: { status: DemoStatus; onRemove: () => void }) {
  const { t, text } = useT();
  const { demo, incidents, investigating, analysed } = status;
  const busy = demo.state === 'played' && (!analysed || investigating > 0);
  return (
    <tr data-test="demo" data-state={demo.state}>
      <td style={{ minWidth: 160 }}><span className="strong">{visible(text(demo.title)) || visible(demo.name)}</span><div className="small secondary">{visible(demo.name)} · {visible(demo.played_by)}</div></td>
      <td><Chip tone={busy ? 'accent' : TONES[demo.state]}>{busy ? t(investigating > 0 ? 'demo.investigating' : 'demo.analysing') : t(`demo.state.${demo.state}`)}</Chip>{demo.failure ? <div className="small secondary wrap">{visible(demo.failure)}</div> : null}</td>
      <td>{incidents.length === 0 ? <span className="secondary">—</span> : (
        <ul className="column" style={{ gap: 4 }}>{incidents.map((one) => <li key={one.id} className="row"><SeverityChip severity={one.severity} /><Link to={to.incident(one.number)} className="num" title={visible(text(one.title))}>{incidentName(one.number)}</Link></li>)}</ul>
      )}</td>
      <td className="secondary small">{t('demo.counts', { devices: demo.devices, messages: demo.messages, events: demo.events })}</td>
      <td className="secondary"><Ago at={demo.played_at} /></td>
      <td style={{ textAlign: 'right' }}><Button compact variant="danger" why={demo.state === 'removing' && t('demo.state.removing')} onClick={onRemove} data-test="demo-remove"><Trash2 size={14} aria-hidden />{t('demo.remove')}</Button></td>
    </tr>
  );
}
