import { useCallback } from 'react';
import type { ActionSpec } from '../api/types';
import { useT } from '../i18n';
import { shortHash, shown } from '../lib/entity';
import { useDeviceNames } from '../devices/names';

/** Kinds that can be undone; the model's `can_undo`. */
export const undoable: ReadonlySet<ActionSpec['kind']> = new Set([
  'soft_delete_messages', 'quarantine_messages', 'move_messages_to_junk', 'move_messages_to_inbox',
  'move_messages_to_deleted_items', 'quarantine_file', 'isolate_device', 'add_indicator',
]);

/** What an action does, in one line. */
export function useDescribe() {
  const { t } = useT();
  const names = useDeviceNames();
  return useCallback(
    (spec: ActionSpec): { title: string; target: string } => {
      const title = t(`actionKind.${spec.kind}`);
      switch (spec.kind) {
        case 'soft_delete_messages':
        case 'hard_delete_messages':
        case 'quarantine_messages':
        case 'move_messages_to_junk':
        case 'move_messages_to_inbox':
        case 'move_messages_to_deleted_items':
          return { title, target: t('actions.mailboxes', { count: new Set(spec.copies.map((copy) => copy.recipient)).size }) };
        case 'restore_messages':
          return { title, target: t('actions.ofAction', { id: spec.action_id.slice(0, 8) }) };
        case 'stop_process_tree': {
          const [device = '', pid = '?'] = spec.process.split('/');
          return { title, target: `PID ${pid} · ${names(device)}` };
        }
        case 'quarantine_file':
        case 'restore_file': {
          const path = spec.kind === 'quarantine_file' ? spec.paths[0] : undefined;
          return { title, target: `${path ?? shortHash(spec.sha256)} · ${names(spec.device_id)}` };
        }
        case 'isolate_device':
        case 'release_device':
        case 'collect_status':
          return { title, target: names(spec.device_id) };
        case 'add_indicator':
          return {
            title: t(`indicatorAct.${spec.indicator.action}`),
            target: `${t(`indicatorKind.${spec.indicator.kind}`)}: ${
              spec.indicator.kind === 'fileSha256' ? shortHash(spec.indicator.value) : shown(spec.indicator.kind, spec.indicator.value)}`,
          };
        case 'remove_indicator':
          return { title, target: spec.indicator_id.slice(0, 8) };
      }
    },
    [t, names],
  );
}
