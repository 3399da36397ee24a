// Menus are fetched when somebody reaches for the first one; until then only the button is there.
import { Slot } from 'radix-ui';
import { lazy, Suspense, useState } from 'react';
import type { MenuProps } from './menu-box';

export type { MenuItem } from './menu-box';

const load = () => import('./menu-box');
const MenuBox = lazy(load);

export function Menu(props: MenuProps) {
  const [wanted, setWanted] = useState(false);
  const open = () => setWanted(true);
  const button = (
    <Slot.Root aria-haspopup="menu" aria-expanded={false} onPointerEnter={() => void load()} onFocus={() => void load()} onClick={open}
      onKeyDown={(event) => {
        if (event.key === 'ArrowDown') {
          event.preventDefault();
          open();
        }
      }}>
      {props.trigger}
    </Slot.Root>
  );
  if (!wanted) return button;
  return (
    <Suspense fallback={button}>
      <MenuBox {...props} startOpen />
    </Suspense>
  );
}
