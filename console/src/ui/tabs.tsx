import { Tabs as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { useSearchParams } from '../lib/router';

export interface Tab {
  id: string;
  label: string;
  count?: number;
  attention?: boolean;
  body: () => ReactNode;
}

/** Tabs whose choice lives in the URL. */
export function Tabs({ tabs, label, param = 'tab' }: { tabs: Tab[]; label: string; param?: string }) {
  const [params, setParams] = useSearchParams();
  const wanted = params.get(param);
  const current = tabs.find((tab) => tab.id === wanted)?.id ?? tabs[0]?.id;
  const choose = (id: string) =>
    setParams(
      (now) => {
        const next = new URLSearchParams(now);
        if (id === tabs[0]?.id) next.delete(param);
        else next.set(param, id);
        return next;
      },
      { replace: true },
    );
  return (
    <Radix.Root value={current} onValueChange={choose} className="column">
      <Radix.List className="tabs" aria-label={label}>
        {tabs.map((tab) => (
          <Radix.Trigger key={tab.id} value={tab.id} data-test={`tab-${tab.id}`}>
            {tab.label}
            {tab.count !== undefined ? <span className={`count ${tab.attention ? 'attention' : ''}`}>{tab.count}</span> : null}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {tabs.map((tab) => (
        <Radix.Content key={tab.id} value={tab.id} tabIndex={-1}>
          {tab.id === current ? tab.body() : null}
        </Radix.Content>
      ))}
    </Radix.Root>
  );
}
