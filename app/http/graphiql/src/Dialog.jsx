import { useEffect, useId, useRef } from "react";

/**
 * A modal dialog. It is closed by its form, a button of it or, unless `staysOpen`, Escape; the focus
 * returns then.
 */
export function Dialog({ title, onClose, staysOpen = false, children }) {
  const dialog = useRef(null);
  const heading = useId();
  useEffect(() => dialog.current.showModal(), []);
  const keepOpen = (event) => {
    if (staysOpen) event.preventDefault();
  };

  return (
    <dialog
      ref={dialog}
      className="portico-dialog"
      aria-labelledby={heading}
      // Browsers that do not know `closedby` let the second Escape in a row pass `cancel`.
      closedby={staysOpen ? "none" : "closerequest"}
      onCancel={keepOpen}
      onKeyDown={(event) => event.key === "Escape" && keepOpen(event)}
      onClose={() => onClose(dialog.current.returnValue)}
    >
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Closes the dialog that a button or form of it belongs to. */
export const closeDialogOf = (element, returnValue = "") =>
  element.closest("dialog").close(returnValue);

export const Close = ({ children = "Close" }) => (
  <button type="button" onClick={({ currentTarget }) => closeDialogOf(currentTarget)}>
    {children}
  </button>
);
