import { useCallback } from 'react';
import { useGet } from '../api/queries';
import type { Device, Listed } from '../api/types';

/** Names of devices by id; an unknown one reads as the start of its id. */
export function useDeviceNames(): (id: string) => string {
  const devices = useGet<Listed<Device>>('/devices', { limit: 200 });
  const items = devices.data?.items;
  return useCallback((id: string) => items?.find((device) => device.id === id)?.name ?? id.slice(0, 8), [items]);
}
