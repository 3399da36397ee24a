// The dialogue is fetched when the first one opens, so that the first page comes without it.
import { lazy, Suspense, useState } from 'react';
import type { DialogProps } from './dialog-box';

const DialogBox = lazy(() => import('./dialog-box'));

export function Dialog(props: DialogProps) {
  const [used, setUsed] = useState(props.open);
  if (props.open && !used) setUsed(true);
  if (!used) return null;
  return (
    <Suspense fallback={null}>
      <DialogBox {...props} />
    </Suspense>
  );
}
