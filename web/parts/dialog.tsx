import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { words } from "../words/words.ts";

interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** null = it cannot be left. */
  readonly onClose: (() => void) | null;
}

/** A modal dialog: the browser keeps the focus within, and whoever opened it has the focus again when it is gone. */
export function Dialog({ title, children, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const box = dialog.current;
    if (box === null || box.open) return;
    const opener = document.activeElement;
    box.showModal();
    return () => {
      box.close();
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
    >
      <header>
        <h2>{title}</h2>
        {onClose === null ? null : (
          <button type="button" class="plain" aria-label={words().parts.close} onClick={onClose}>
            ✕
          </button>
        )}
      </header>
      {children}
    </dialog>
  );
}
