import { DOC_EXPLORER_PLUGIN } from "@graphiql/plugin-doc-explorer";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
// Their parts, not graphiql/style.css: that one holds Monaco's styles a second time and 400 kB of
// fonts, where the system's own serve.
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "@graphiql/plugin-explorer/style.css";
import "graphiql/graphiql.css";
import "./style.css";
import "./workers.js";
import operations from "./operations.graphql?raw";
import { productName } from "./product.js";
import { fetcher } from "./session.js";
import { SignIn } from "./SignIn.jsx";
import { StepUp } from "./StepUp.jsx";
import { storage } from "./storage.js";

const WELCOME = `# Welcome to ${productName}.
#
# Sign in above: requests of this
# page then carry your token. You
# stay signed in after a reload,
# and in other tabs.
#
# Ctrl-Enter runs the operation at
# the cursor, Ctrl-Space completes
# what you type.

${operations}`;

// The docs are open until a panel is opened or closed; GraphiQL itself forgets that one was closed.
// On a small screen they would hide the editors.
const PANEL_CHOSEN = "graphiql:panelChosen";
const isWide = matchMedia("(min-width: 701px)").matches;
const firstPanel = isWide && !storage.getItem(PANEL_CHOSEN) ? DOC_EXPLORER_PLUGIN : undefined;
const rememberChoice = () => storage.setItem(PANEL_CHOSEN, "true");

// Outside the component: a new list on each render would reset the open panel.
const plugins = [HISTORY_PLUGIN, explorerPlugin()];

function Page() {
  return (
    <>
      <SignIn />
      <StepUp />
      <main>
        <GraphiQL
          fetcher={fetcher}
          plugins={plugins}
          visiblePlugin={firstPanel}
          onTogglePluginVisibility={rememberChoice}
          storage={storage}
          defaultQuery={WELCOME}
          shouldPersistHeaders={false}
          inputValueDeprecation
          schemaDescription
        />
      </main>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
