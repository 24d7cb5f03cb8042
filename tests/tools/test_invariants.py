"""The checker turns red for each thing that must not happen, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

from tests.tools.every import every
from tests.tools.invariants import Effect, Ended, Evidence, Heard, Left, Sent, judge

GOOD = Evidence(
    sent=[
        *(Sent(f"k-{number}") for number in range(1, 5)),
        Sent("k-maybe", sure=False),
        *(Sent(f"lane-{number}", lane="a", number=number) for number in range(1, 4)),
        Sent("blind", parkable=True),
    ],
    effects=[
        Effect("k-1"),
        Effect("lane-1", creates=False),
        Effect("lane-2", creates=False),
        Effect("lane-2", creates=False),
        Effect("k-2"),
        Effect("k-2", creates=False),
        Effect("lane-3", creates=False),
        Effect("blind"),
    ],
    left=[
        Left("k-3", "assets.dead", dead=True, dead_class="rejected", reason="Halo said 400"),
        Left("k-4", "halo.retry.1s"),
        Left("blind", "blind.dead", dead=True, dead_class="in_doubt", reason="nobody can know"),
    ],
    latest={1: "now", 2: "then"},
    heard=[Heard(1, "before", "d-1"), Heard(1, "now", "d-2"), Heard(1, "now", "d-2"), Heard(2, "then", "d-3")],
    texts={"worker.log": "all is well"},
    marks=["secret-7f3a"],
    ended=[Ended("one", -9, "SIGKILL"), Ended("two", 0, "SIGTERM", 3.0, 5.0), Ended("three", 1, "SIGTERM", 5.0, 5.0, hindered=True)],
    signs={"messages retried": True},
)

BROKEN = {
    "I1: accepted and lost (1): k-5": replace(GOOD, sent=[*GOOD.sent, Sent("k-5")]),
    "I1: parked without a reason (1): k-3 in assets.dead": replace(GOOD, left=[replace(GOOD.left[0], reason=""), *GOOD.left[1:]]),
    "I1: parked although it could be decided (1): k-3: nobody looked": replace(
        GOOD, left=[replace(GOOD.left[0], dead_class="in_doubt", reason="nobody looked"), *GOOD.left[1:]]
    ),
    "I2: created more than once (1): k-1": replace(GOOD, effects=[*GOOD.effects, Effect("k-1")]),
    "I2: of unknown origin (1): k-9": replace(GOOD, effects=[*GOOD.effects, Effect("k-9")]),
    "I3: out of order (1): a: 2 after 3": replace(GOOD, effects=[*GOOD.effects, Effect("lane-2", creates=False)]),
    "I4: changed in Halo and never told (1): (2, 'newer')": replace(GOOD, latest={1: "now", 2: "newer"}),
    "I4: copies of one event with several dedupe keys (1): 1: 'now' under 2 keys": replace(GOOD, heard=[*GOOD.heard, Heard(1, "now", "d-9")]),
    "I4: one dedupe key for several events (1): d-3:": replace(GOOD, heard=[*GOOD.heard, Heard(2, "else", "d-3")]),
    "I5: a secret or a customer's data is told (1): 'secret-7f3a' in worker.log: …token secret-7f3a": replace(GOOD, texts={"worker.log": "token secret-7f3a"}),
    "I6: ended unasked, late or badly (1): one with 1, unasked": replace(GOOD, ended=[Ended("one", 1)]),
    "I6: ended unasked, late or badly (1): two with 0, unasked": replace(GOOD, ended=[Ended("two", 0)]),
    "I6: ended unasked, late or badly (1): two with 1 after SIGTERM": replace(GOOD, ended=[Ended("two", 1, "SIGTERM", 1.0)]),
    "I6: ended unasked, late or badly (1): two with -15 after SIGTERM": replace(GOOD, ended=[Ended("two", -15, "SIGTERM", 1.0, hindered=True)]),
    "I6: ended unasked, late or badly (1): two 9.0 s after SIGTERM, with a grace time of 5 s": replace(GOOD, ended=[Ended("two", 0, "SIGTERM", 9.0, 5.0)]),
    "I7: not shown (1): messages retried": replace(GOOD, signs={"messages retried": False}),
}


def test_good_evidence_is_good_and_counted():
    verdict = judge(GOOD)
    assert verdict.broken == ()
    assert verdict.good
    assert verdict.parked == ("1 in assets.dead: rejected, Halo said 400", "1 in blind.dead: in_doubt, nobody can know")
    assert str(verdict.tally) == (
        "accepted 8, done 5, parked 2, waiting 1, lost 0, doubled 0; not confirmed to their sender 1; events 4, changes untold 0, told under a second key 0"
    )


@every(("told", "evidence"), BROKEN.items(), ids=[sentence[:60] for sentence in BROKEN])
def test_each_violation_turns_it_red_and_no_other_line(told, evidence):
    verdict = judge(evidence)
    assert not verdict.good
    assert len(verdict.broken) == 1, verdict.broken
    assert verdict.broken[0].startswith(told)


def test_some_events_may_have_a_second_key_where_a_turn_may_have_had_two_holders():
    evidence = replace(GOOD, heard=[*GOOD.heard, Heard(1, "now", "d-9")], retold=1)
    assert judge(evidence).good
    assert judge(evidence).tally.retold == 1
    assert not judge(replace(evidence, heard=[*evidence.heard, Heard(2, "then", "d-8")])).good


def test_every_invariant_is_among_those_that_were_broken_here():
    assert {sentence[:2] for sentence in BROKEN} == {"I1", "I2", "I3", "I4", "I5", "I6", "I7"}


def test_a_message_of_an_unsure_sender_may_be_missing_but_not_doubled():
    assert judge(Evidence(sent=[Sent("k", sure=False)])).good
    doubled = judge(Evidence(sent=[Sent("k", sure=False)], effects=[Effect("k"), Effect("k")]))
    assert doubled.tally.doubled == 1
    assert not doubled.good


def test_of_much_evidence_the_first_pieces_are_shown():
    (line,) = judge(Evidence(sent=[Sent(f"k-{number:02}") for number in range(20)])).broken
    assert line == "I1: accepted and lost (20): k-00, k-01, k-02, k-03, k-04, k-05, k-06, k-07 and 12 more"


def test_thousands_of_messages_are_judged_at_once():
    sent = [Sent(f"k-{number}") for number in range(20_000)]
    heard = [Heard(number % 200, f"change {number}", f"d-{number}") for number in range(20_000)]
    verdict = judge(Evidence(sent=sent, effects=[Effect(each.key) for each in sent], heard=heard, latest={1: "change 1"}))
    assert verdict.good
    assert verdict.tally.done == 20_000
