"""Checks the deployment that `deploy` describes: all its real processes, on loopback.

Sign-ins through nginx and PgBouncer, pages from the replica, whose address is believed; then what
happens to all of these: rolling restarts under load that change SECRET_KEY, processes that end or
hang, databases that are away, late or refuse the role, a leak, and an owner who tampers.
"""

import argparse

from changes_of_secrets import (
    ChangeOfSecret,
    a_leak_ends_all_that_the_secret_protects,
    another_secret_is_refused,
)
from ends_of_processes import (
    a_hanging_worker_is_replaced,
    a_killed_parent_leaves_no_workers_behind,
    a_killed_worker_is_replaced,
)
from everyday import (
    addresses_are_those_the_proxy_saw,
    emails_leave,
    pages_come_from_the_replica,
    people_get_in,
    the_doctor_finds_nothing,
    the_worker_reports_waiting_jobs,
    timeouts_apply_behind_the_pooler,
)
from evidence import (
    a_removed_checkpoint_is_found_by_the_copy,
    the_audit_is_valid_with_the_new_secret_alone,
)
from fleet import fleet
from outages import (
    a_hanging_replica_costs_a_second_once,
    a_late_replica_is_left_out,
    a_promoted_replica_is_left_out_for_good,
    a_refused_role_is_an_outage,
    nginx_answers_that_nothing_was_done,
    pages_come_without_the_replica,
    service_returns_after_pgbouncer,
    service_returns_after_postgresql,
    the_worker_is_ready_again,
)
from scene import Scene
from script import run_script

# For three minutes after the second step, others count as sealing with the former secret. The
# checks before the third step run in this time.
CHANGE = ChangeOfSecret()
CHECKS = (
    people_get_in,
    the_doctor_finds_nothing,
    timeouts_apply_behind_the_pooler,
    emails_leave,
    the_worker_reports_waiting_jobs,
    pages_come_from_the_replica,
    addresses_are_those_the_proxy_saw,
    another_secret_is_refused,
    CHANGE.open_with_both,
    CHANGE.seal_with_new,
    a_killed_worker_is_replaced,
    a_hanging_worker_is_replaced,
    a_killed_parent_leaves_no_workers_behind,
    service_returns_after_pgbouncer,
    service_returns_after_postgresql,
    a_refused_role_is_an_outage,
    a_hanging_replica_costs_a_second_once,
    a_late_replica_is_left_out,
    the_worker_is_ready_again,
    pages_come_without_the_replica,
    a_promoted_replica_is_left_out_for_good,
    CHANGE.forget_former,
    a_leak_ends_all_that_the_secret_protects,
    the_audit_is_valid_with_the_new_secret_alone,
    a_removed_checkpoint_is_found_by_the_copy,
    nginx_answers_that_nothing_was_done,
)


def main(_options: argparse.Namespace) -> None:
    with fleet() as whole:
        them = Scene(whole)
        for check in CHECKS:
            check(them)


if __name__ == "__main__":
    run_script(main, argparse.ArgumentParser(description=__doc__))
