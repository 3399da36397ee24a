import { CheckCircle2, Loader, Plus } from 'lucide-react';
import { useState } from 'react';
import { Link } from '../lib/router';
import { useMutation } from '@tanstack/react-query';
import { ApiError, post } from '../api/client';
import { invalidate, useGet, useList } from '../api/queries';
import type { CreatedEnrolmentToken, Device, EnrolmentTokenInfo, Listed } from '../api/types';
import { useNow, useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { ms } from '../lib/time';
import { useDeviceNames } from '../devices/names';
import { Button, CopyButton } from '../ui/button';
import { Chip } from '../ui/chips';
import { Card, Field, Select } from '../ui/field';
import { Empty, Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';

/** The token goes in by standard input: arguments of programs are visible to every user of a machine. */
const command = (token: string) => `echo '${token}' | hinomi-sensor enrol --token-file - && hinomi-sensor run`;

const HOURS = ['1', '24', '168'] as const;
/** While a new token waits for its device, the list is asked this often beside the live stream. */
const WAIT_POLL_MS = 3_000;

export function Enrolment() {
  const { t } = useT();
  const toast = useToast();
  const now = useNow();
  const names = useDeviceNames();
  const [note, setNote] = useState('');
  const [hours, setHours] = useState<string>('24');
  const [created, setCreated] = useState<CreatedEnrolmentToken | null>(null);
  const list = useList<EnrolmentTokenInfo>('/enrolment-tokens');
  const watch = useGet<Listed<EnrolmentTokenInfo>>(created ? '/enrolment-tokens' : null, { limit: 50 }, { poll: WAIT_POLL_MS });
  const create = useMutation<CreatedEnrolmentToken, ApiError>({
    mutationFn: () => post<CreatedEnrolmentToken>('/enrolment-tokens', { note: note.trim(), expires_in_hours: Number(hours) }),
    onSuccess: (answer) => { setCreated(answer); setNote(''); },
    onError: toast.failed,
    onSettled: () => invalidate('/enrolment-tokens'),
  });
  const usedBy = watch.data?.items.find((token) => token.id === created?.token.id)?.used_by;
  return (
    <>
      <Card title={t('enrol.title')}>
        <div className="column">
          <p className="secondary">{t('enrol.hint')}</p>
          <form className="row wrapping" style={{ alignItems: 'flex-end' }} onSubmit={(event) => { event.preventDefault(); create.mutate(); }}>
            <div style={{ flex: '1 1 240px' }}><Field label={t('enrol.note')} value={note} maxLength={200} placeholder={t('enrol.noteHint')} onChange={(event) => setNote(event.target.value)} /></div>
            <Select label={t('columns.expires')} value={hours} onChange={setHours} choices={HOURS.map((one) => ({ value: one, label: t(`enrol.hours.h${one}`) }))} />
            <Button type="submit" variant="primary" busy={create.isPending} data-test="enrol-create"><Plus size={15} aria-hidden />{t('enrol.create')}</Button>
          </form>
          {created ? (
            <div className="column" data-test="enrol-line">
              <p className="strong">{t('enrol.copyLine')}</p>
              <div className="row" style={{ alignItems: 'flex-start' }}>
                <pre className="copy grow" style={{ margin: 0 }}>{command(created.line)}</pre>
                <CopyButton text={command(created.line)} label={t('words.copy')} />
              </div>
              <p className="small secondary">{t('enrol.once')}</p>
              {usedBy ? (
                <div className="banner ok" role="status"><CheckCircle2 size={18} aria-hidden /><span className="grow">{t('enrol.connected')} <Connected id={usedBy} /></span></div>
              ) : (
                <div className="banner info" role="status"><Loader size={17} className="spin" aria-hidden />{t('enrol.waiting')}</div>
              )}
            </div>
          ) : null}
        </div>
      </Card>
      <Card flush title={t('enrol.tokens')}>
        <Loaded query={{ ...list, data: list.items }}>
          {(items) => items.length === 0 ? <Empty title={t('enrol.none')}>{t('enrol.noneHint')}</Empty> : (
            <div className="table-scroll">
              <table className="plain">
                <thead><tr><th>{t('enrol.note')}</th><th>{t('columns.status')}</th><th>{t('columns.by')}</th><th>{t('columns.created')}</th><th>{t('columns.expires')}</th></tr></thead>
                <tbody>
                  {items.map((token) => (
                    <tr key={token.id}>
                      <td>{visible(token.note) || '—'}</td>
                      <td>{token.used_by ? <Link to={to.device(token.used_by)}>{t('enrol.used', { name: names(token.used_by) })}</Link> : ms(token.expires_at) < now ? <Chip>{t('enrol.expired')}</Chip> : <Chip tone="accent">{t('enrol.open')}</Chip>}</td>
                      <td>{visible(token.created_by)}</td>
                      <td><Ago at={token.created_at} /></td>
                      <td><Ago at={token.expires_at} /></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </Loaded>
      </Card>
    </>
  );
}

function Connected({ id }: { id: string }) {
  const device = useGet<Device>(`/devices/${id}`).data;
  return <Link to={to.device(id)}>{visible(device?.name ?? id.slice(0, 8))}</Link>;
}
