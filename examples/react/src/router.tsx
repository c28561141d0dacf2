import { createBrowserRouter } from "react-router";
import { ChangeEmail } from "./pages/ChangeEmail";
import { ChangePassword } from "./pages/ChangePassword";
import { ConfirmEmail } from "./pages/ConfirmEmail";
import { DeleteAccount } from "./pages/DeleteAccount";
import { ForgotPassword } from "./pages/ForgotPassword";
import { NotFound } from "./pages/NotFound";
import { Profile } from "./pages/Profile";
import { Register } from "./pages/Register";
import { RequestVerification } from "./pages/RequestVerification";
import { ResetPassword } from "./pages/ResetPassword";
import { Security } from "./pages/Security";
import { Sessions } from "./pages/Sessions";
import { SignIn } from "./pages/SignIn";
import { UserDetails } from "./pages/UserDetails";
import { Users } from "./pages/Users";
import { VerifyEmail } from "./pages/VerifyEmail";
import { Failure } from "./ui/Failure";
import { CardLayout, GuestLayout } from "./ui/GuestLayout";
import { MemberLayout } from "./ui/MemberLayout";

export const router = createBrowserRouter([
  {
    Component: GuestLayout,
    children: [
      { path: "/sign-in", Component: SignIn },
      { path: "/register", Component: Register },
      { path: "/forgot-password", Component: ForgotPassword },
    ],
  },
  {
    Component: CardLayout,
    children: [
      // The links in emails lead to these three: see LINK_VERIFY_EMAIL and its siblings in the settings of Portico.
      { path: "/verify-email", Component: VerifyEmail },
      { path: "/reset-password", Component: ResetPassword },
      { path: "/confirm-email", Component: ConfirmEmail },
      { path: "/request-verification", Component: RequestVerification },
      { path: "*", Component: NotFound },
    ],
  },
  {
    Component: MemberLayout,
    ErrorBoundary: Failure,
    children: [
      {
        ErrorBoundary: Failure,
        children: [
          { path: "/", Component: Profile },
          { path: "/email", Component: ChangeEmail },
          { path: "/password", Component: ChangePassword },
          { path: "/security", Component: Security },
          { path: "/sessions", Component: Sessions },
          { path: "/delete-account", Component: DeleteAccount },
          { path: "/users", Component: Users },
          { path: "/users/:id", Component: UserDetails },
        ],
      },
    ],
  },
]);
