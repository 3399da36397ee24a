import { DropdownMenu as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { Link } from '../lib/router';

export interface MenuItem {
  label: string;
  icon?: ReactNode;
  onSelect?: () => void;
  to?: string;
  danger?: boolean;
  /** Why the entry does nothing now. */
  why?: string | false;
  test?: string;
}

export interface MenuProps { trigger: ReactNode; items: (MenuItem | 'line')[]; label?: string }

export default function MenuBox({ trigger, items, label, startOpen }: MenuProps & { startOpen: boolean }) {
  return (
    <Radix.Root defaultOpen={startOpen}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content className="menu" align="end" sideOffset={5} collisionPadding={8}>
          {label ? <Radix.Label className="menu-label">{label}</Radix.Label> : null}
          {items.map((item, index) =>
            item === 'line' ? (
              <Radix.Separator key={index} asChild>
                <hr />
              </Radix.Separator>
            ) : (
              <Radix.Item
                key={item.label}
                className={item.danger && !item.why ? 'danger' : ''}
                disabled={Boolean(item.why)}
                onSelect={item.onSelect}
                asChild={Boolean(item.to)}
                data-test={item.test}
              >
                {item.to ? (
                  <Link to={item.to}>
                    {item.icon}
                    {item.label}
                  </Link>
                ) : (
                  <>
                    {item.icon}
                    <span>
                      {item.label}
                      {item.why ? <span className="small secondary"> · {item.why}</span> : null}
                    </span>
                  </>
                )}
              </Radix.Item>
            ),
          )}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
