import { graphql } from "relay-runtime";

graphql`
  fragment people_person on User {
    email
    displayName
    role
    isActive
    lastLoginAt
    suspension {
      reason
      until
    }
  }
`;

graphql`
  fragment people_profile on User @refetchable(queryName: "peopleProfileRefetchQuery") {
    ...people_person
    emailVerified
    createdAt
    updatedAt
  }
`;

graphql`
  fragment people_list on Query
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 20 }
    cursor: { type: "String" }
    filter: { type: "UserFilter" }
    orderBy: { type: "UserOrder" }
  )
  @refetchable(queryName: "peopleListPaginationQuery") {
    users(first: $count, after: $cursor, filter: $filter, orderBy: $orderBy)
      @connection(key: "people_list_users", filters: ["filter", "orderBy"]) {
      totalCount
      edges {
        node {
          id
          ...people_person
        }
      }
    }
  }
`;

graphql`
  query peopleQuery($by: UserBy!, $filter: UserFilter) {
    ...people_list @arguments(filter: $filter)
    user(by: $by) {
      ...people_profile
    }
  }
`;
