import { useSuspenseQuery } from "@apollo/client/react";
import { Link, Form as SearchForm, useSearchParams } from "react-router";
import { graphql } from "../gql";
import type { UserOrder } from "../gql/graphql";
import { Page } from "../ui/Page";
import { When } from "../ui/When";

const UsersQuery = graphql(`
  query Users($first: Int, $after: String, $last: Int, $before: String, $filter: UserFilter, $orderBy: UserOrder) {
    users(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
      totalCount
      nodes {
        id
        email
        displayName
        role
        isActive
        createdAt
      }
      pageInfo {
        hasPreviousPage
        hasNextPage
        startCursor
        endCursor
      }
    }
  }
`);

const PAGE = 10;
const orders: Record<string, { label: string; orderBy: UserOrder }> = {
  newest: { label: "Newest first", orderBy: { field: "CREATED_AT", direction: "DESC" } },
  oldest: { label: "Oldest first", orderBy: { field: "CREATED_AT", direction: "ASC" } },
  email: { label: "Email", orderBy: { field: "EMAIL", direction: "ASC" } },
  active: { label: "Last sign-in", orderBy: { field: "LAST_LOGIN_AT", direction: "DESC" } },
};

/** The address bar holds search, order and cursor, so that a page can be reloaded, shared and gone back to. */
export function Users() {
  const [params] = useSearchParams();
  const search = params.get("search") ?? "";
  const order = params.get("order") ?? "newest";
  const [after, before] = [params.get("after"), params.get("before")];
  const { data } = useSuspenseQuery(UsersQuery, {
    variables: {
      ...(before ? { last: PAGE, before } : { first: PAGE, after }),
      filter: { search },
      orderBy: orders[order]?.orderBy ?? null,
    },
    fetchPolicy: "cache-and-network",
  });
  if (!data.users) return null;
  const { totalCount, nodes, pageInfo } = data.users;
  const linkTo = (side: "after" | "before", cursor: string | null) =>
    `?${new URLSearchParams({ search, order, [side]: cursor ?? "" }).toString()}`;

  return (
    <Page title="Users">
      {/* The key: the fields follow the address bar, also after "back". */}
      <SearchForm key={`${order} ${search}`} role="search" className="bar">
        <label>Search <input type="search" name="search" defaultValue={search} /></label>
        <label>
          Order{" "}
          <select name="order" defaultValue={order}>
            {Object.entries(orders).map(([value, { label }]) => <option key={value} value={value}>{label}</option>)}
          </select>
        </label>
        <button>Search</button>
      </SearchForm>
      <p role="status" className="minor">{totalCount === 1 ? "1 user" : `${totalCount.toLocaleString()} users`}</p>
      <ul className="card list">
        {nodes.map(({ id, email, displayName, role, isActive, createdAt }) => (
          <li key={id}>
            <div>
              <p><Link to={`/users/${id}`}>{email}</Link></p>
              <p className="minor">{displayName}</p>
            </div>
            <p className="minor">
              {role === "ADMIN" && <span className="tag">administrator</span>}
              {!isActive && <span className="tag bad">suspended</span>} <When at={createdAt} />
            </p>
          </li>
        ))}
      </ul>
      <nav aria-label="Pages" className="bar">
        {pageInfo.hasPreviousPage && <Link to={linkTo("before", pageInfo.startCursor)}>Previous page</Link>}
        {pageInfo.hasNextPage && <Link to={linkTo("after", pageInfo.endCursor)}>Next page</Link>}
      </nav>
    </Page>
  );
}
