// Channels of notifications with a test, and the log of what was sent and answered.
import { Send, RotateCcw } from 'lucide-react';
import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, post } from '../api/client';
import { invalidate, useGet, useList } from '../api/queries';
import { notificationStates, type ChannelTest, type Notification, type NotificationChannels, type NotificationState } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { Link } from '../lib/router';
import { Button } from '../ui/button';
import { Chip, SeverityChip } from '../ui/chips';
import { Card, Select } from '../ui/field';
import { Empty, Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';

const TONES: Partial<Record<NotificationState, 'ok' | 'high' | 'medium'>> = { sent: 'ok', digested: 'ok', failed: 'high', pending: 'medium' };

export function Notifications() {
  const { t } = useT();
  const toast = useToast();
  const channels = useGet<NotificationChannels>('/notifications/channels');
  const [state, setState] = useState('');
  const list = useList<Notification>('/notifications', state ? { state } : {});
  const done = () => { invalidate('/notifications/channels'); invalidate('/notifications'); };
  const test = useMutation<ChannelTest, ApiError, string>({
    mutationFn: (name) => post<ChannelTest>(`/notifications/channels/${encodeURIComponent(name)}/test`, {}),
    onError: toast.failed,
    onSettled: done,
  });
  const resend = useMutation<Notification, ApiError, string>({
    mutationFn: (id) => post<Notification>(`/notifications/${id}/resend`, {}),
    onSuccess: () => toast.ok(t('notifications.again')),
    onError: toast.failed,
    onSettled: done,
  });
  const chip = (one: Notification) => <Chip tone={TONES[one.state]}>{t(`notifications.states.${one.state}`)}</Chip>;
  return (
    <>
      <Card flush title={t('notifications.channels')}>
        <Loaded query={channels}>
          {({ items }) => items.length === 0 ? <Empty title={t('notifications.noChannels')}>{t('notifications.noChannelsHint')}</Empty> : (
            <div className="table-scroll" tabIndex={0} role="region" aria-label={t('notifications.channels')}>
              <table className="plain">
                <thead><tr><th>{t('columns.name')}</th><th>{t('notifications.to')}</th><th>{t('notifications.rules')}</th><th>{t('notifications.last')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
                <tbody>
                  {items.map((one) => (
                    <tr key={one.name} data-test="channel">
                      <td><span className="strong">{visible(one.name)}</span><div className="small secondary">{visible(one.kind)}</div></td>
                      <td className="wrap" style={{ minWidth: 210 }}>{visible(one.place) || '—'}</td>
                      <td style={{ minWidth: 110 }}>{one.rules.map(visible).join(', ') || '—'}</td>
                      <td>{one.last ? <>{chip(one.last)} <Ago at={one.last.tried_at ?? one.last.created_at} /><div className="small secondary wrap">{visible(one.last.answer)}</div></> : '—'}</td>
                      <td style={{ textAlign: 'right' }}><Button compact busy={test.isPending && test.variables === one.name} onClick={() => test.mutate(one.name)} data-test="channel-test"><Send size={14} aria-hidden />{t('notifications.test')}</Button></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </Loaded>
        {test.data ? <p role="status" className={`banner ${test.data.ok ? 'ok' : 'high'}`} data-test="channel-answer">{t(test.data.ok ? 'notifications.taken' : 'notifications.refused')}: {visible(test.data.answer)}</p> : null}
      </Card>
      <Card flush title={t('notifications.log')} head={<Select label={t('columns.status')} value={state} onChange={setState} choices={[{ value: '', label: t('notifications.any') }, ...notificationStates.map((one) => ({ value: one, label: t(`notifications.states.${one}`) }))]} />}>
        <Loaded query={{ ...list, data: list.items }}>
          {(items) => items.length === 0 ? <Empty title={t('notifications.none')} /> : (
            <div className="table-scroll" tabIndex={0} role="region" aria-label={t('notifications.log')}>
              <table className="plain">
                <thead><tr><th>{t('columns.time')}</th><th>{t('notifications.channel')}</th><th>{t('notifications.about')}</th><th>{t('columns.status')}</th><th>{t('notifications.answer')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
                <tbody>
                  {items.map((one) => (
                    <tr key={one.id} data-test="notification">
                      <td><Ago at={one.created_at} /></td>
                      <td style={{ minWidth: 96 }}>{visible(one.channel)}</td>
                      <td><span className="row wrapping" style={{ gap: 6 }}>{t(`notifications.kinds.${one.kind}`)}{one.severity ? <SeverityChip severity={one.severity} /> : null}{typeof one.incident === 'number' ? <Link to={to.incident(one.incident)}>INC-{one.incident}</Link> : null}</span></td>
                      <td>{chip(one)}{one.attempts > 1 ? <div className="small secondary">{t('notifications.tries', { count: one.attempts })}</div> : null}</td>
                      <td className="wrap small" style={{ minWidth: 180 }}>{visible(one.answer) || '—'}</td>
                      <td style={{ textAlign: 'right' }}>{one.state === 'failed' && one.kind !== 'test' ? <Button compact busy={resend.isPending && resend.variables === one.id} onClick={() => resend.mutate(one.id)} data-test="resend"><RotateCcw size={14} aria-hidden />{t('notifications.resend')}</Button> : null}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </Loaded>
        {list.hasNextPage ? <div className="row" style={{ padding: 12 }}><Button compact busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>{t('notifications.more')}</Button></div> : null}
      </Card>
    </>
  );
}
