import { useEffect, useId, useRef, type ReactNode } from "react";

interface QuestionProps {
  title: string;
  button: string;
  /** No, if it is closed by Escape. */
  answer: (yes: boolean) => void;
  children: ReactNode;
}

const YES = "yes";

/** Asks before something that cannot be undone. */
export function Question({ title, button, answer, children }: QuestionProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);

  return (
    <dialog
      ref={dialog}
      className="card"
      aria-labelledby={id}
      onClose={({ currentTarget }) => { answer(currentTarget.returnValue === YES); }}
    >
      <h2 id={id}>{title}</h2>
      {children}
      <div className="bar">
        {/* The first one has the focus: the one that does nothing. */}
        <button className="quiet" onClick={() => dialog.current?.close()}>Cancel</button>
        <button className="danger" onClick={() => dialog.current?.close(YES)}>{button}</button>
      </div>
    </dialog>
  );
}
