"""Two hundred expressions over data that take time, memory or depth without end, or break the engine; each is worked out for `$` and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

MIN, MAX = -(2**63), 2**63 - 1
EMOJI = "\U0001f600"


@dataclass(frozen=True)
class Hostile:
    """`kind`: time, memory, depth, panic or abort, as it was meant."""

    kind: str
    text: str
    context: Any

    def __str__(self) -> str:
        return f"{self.kind}: {self.text[:60]} over {len(self.context) if hasattr(self.context, '__len__') else self.context}"


def texts(count: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]


def deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def time() -> Iterator[tuple[str, Any]]:
    for count in (20_000, 60_000):
        yield "$distinct($)", texts(count)
        yield "$count($distinct($.{'a': $}))", texts(count // 3)
        yield "$distinct($append($, $))", texts(count // 2)
        yield "$keys($)", [{f"k{number}": 1} for number in range(count // 2)]
        yield "$merge($.{$: $distinct($$)})", texts(count // 4)
        yield "$sort($, function($a, $b){ $count($distinct($$)) > 0 })", texts(count // 10)
    for size in (300, 3_000):
        yield "$map($, function($x){ $map($$, function($y){ $x & $y }) })", texts(size)
        yield "$filter($, function($x){ $count($filter($$, function($y){ $x = $y })) > 1 })", texts(size)
        yield "$.($x := $; $$.($y := $; $$[$ = $x & $y]))", texts(size)
        yield "$reduce($, function($a, $b){ $append($a, $b) })", texts(size * 20)
        yield "$reduce($, function($a, $b){ $a & $b })", texts(size * 20)
        yield "$sort($, function($a, $b){ $number($a) > $number($b) })", texts(size * 10, start=7)
        yield "$each($, function($v, $k){ $count($keys($$)) })", {f"k{number}": number for number in range(size)}
        yield "$sift($, function($v, $k){ $exists($lookup($$, $k & 'x')) })", {f"k{number}": number for number in range(size)}
    for length in (2_000, 60_000):
        yield "$replace(s, /(a|b)/, function($m){ $string($count($match($$.s, /a/))) })", {"s": "ab" * (length // 20)}
        yield "$split(s, /a*b/)", {"s": "a" * length}
        yield "$match(s, /a.*?b|a/)", {"s": "a" * length}
        yield "$contains(s, /(a?){30}b/)", {"s": "a" * length}
        yield "$substringBefore($join($split(s, ''), s), 'b')", {"s": "a" * (length // 40)}
    yield "($f := function($n){ $f($n + 1) }; $f(1))", {}
    yield "($f := function($n){ $n < 2 ? $n : $f($n - 1) + $f($n - 2) }; $f(n))", {"n": 60}
    yield "$map([1..n], function($i){ $map([1..n], function($j){ $i * $j }) })", {"n": 90_000}
    yield "[1..n].([1..n])", {"n": 3_000}
    yield "$shuffle([1..n])^(>$)", {"n": 99_000}
    yield "**.**.**.a", [deep(40) for _ in range(200)]


def memory() -> Iterator[tuple[str, Any]]:
    for doublings in (24, 40):
        yield f"($d := function($s, $n){{ $n = 0 ? $s : $d($s & $s, $n - 1) }}; $length($d('0123456789', {doublings})))", {}
        yield f"($d := function($s, $n){{ $n = 0 ? $s : $d($append($s, $s), $n - 1) }}; $count($d([1..1000], {doublings})))", {}
        yield f"($d := function($s, $n){{ $n = 0 ? $s : $d([[$s], [$s]], $n - 1) }}; $string($d(1, {doublings})))", {}
        yield f"($d := function($s, $n){{ $n = 0 ? $s : $d({{'a': $s, 'b': $s}}, $n - 1) }}; $string($d(1, {doublings})))", {}
    for length in (100_000, 3_000_000):
        yield "$replace(s, /./, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')", {"s": "a" * length}
        yield "$replace(s, 'a', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')", {"s": "a" * length}
        yield "$split(s, '')", {"s": "a" * length}
        yield "$match(s, /./)", {"s": "a" * length}
        yield "$join($split(s, ''), '----------------------------------------------------------------')", {"s": "a" * length}
        yield "$encodeUrlComponent($encodeUrlComponent($encodeUrlComponent(s)))", {"s": "%" * length}
        yield "$base64encode($base64encode($base64encode(s)))", {"s": "a" * length}
        yield "$pad(s, n, s)", {"s": "a" * (length // 10), "n": 1_000_000}
        yield "$string($string($string(s)))", {"s": '"\\' * (length // 4)}
    for count in (50_000, 200_000):
        yield "$zip($, $, $, $, $, $)", list(range(count))
        yield "$.{'a': $, 'b': $, 'c': {'d': $$[0]}}", list(range(count))
        yield "$spread($merge($.{$string($): $}))", list(range(count))
        yield "${$string($): [$, $, $]}", list(range(count // 2))
        yield "[[$], [$], [$], [$], [$], [$], [$], [$]]", texts(count)
        yield "$append($append($, $), $append($, $))", texts(count)
    for width in (1e6, 1e9, 1e300):
        yield "$pad('x', n)", {"n": width}
        yield "$pad('x', -n, 'abc')", {"n": width}
    for end in (99_999, 9_999_999, 10**12):
        yield "$join([1..n].'0123456789012345678901234567890123456789')", {"n": end}
        yield "$sum([1..n])", {"n": end}
    yield "$", [{} for _ in range(1_000_000)]
    yield "$count($)", [{} for _ in range(1_390_000)]


def depth() -> Iterator[tuple[str, Any]]:
    for levels in (60, 200):
        yield "$string($)", deep(levels)
        yield "**", deep(levels)
        yield "$", deep(levels)
        yield "$ ~> |**|{'b': 1}|", deep(levels)
        yield f"$string({'[' * levels}$$[0]{']' * levels})", [1]
        yield f"{'(' * levels}$count($){')' * levels}", [1, 2]
        yield f"($f := function($n){{ $n = 0 ? 0 : 1 + $f($n - 1) }}; $f({levels}))", {}
        yield f"$a := {'$map(1, function($x){ ' * (levels // 4)}$x{' })' * (levels // 4)}", {}
    yield "($f := function($n){ 1 + $f($n + 1) }; $f(1))", {}
    yield "($f := function($n){ [$f($n + 1)] }; $f(1))", {}
    yield "($f := function($v){ $f({'a': $v}) }; $f(1))", {}
    yield "($f := function($v, $n){ $n = 0 ? $v : $f([[$v]], $n - 1) }; $string($f(1, 5000)))", {}
    yield "($f := function($x){ $map([1, 2], $f) }; $f(1))", {}
    yield "($g := function($x){ $h($x) }; $h := function($x){ $g($x) }; $g(1))", {}


def panic() -> Iterator[tuple[str, Any]]:
    letters = (EMOJI, f"1{EMOJI}", "ü", "१२३", "\u0000")
    for text in letters:
        yield "$parseInteger(s, '1;o')", {"s": text}
        yield "$parseInteger(s, 'w')", {"s": text}
        yield "$toMillis(s, '[Y0001]-[M01]-[D01]')", {"s": text}
    for picture in (f"[Y]{EMOJI}", f"{EMOJI}", f"[{EMOJI}]", f"[Y{EMOJI}]", "[Y,*-99999999999]", "[h99999999]", "[F1,1-0]", "[[[", f"[MNn,{EMOJI}]"):
        yield "$fromMillis(n, p)", {"n": 1, "p": picture}
        yield "$fromMillis(n, p, z)", {"n": MAX, "p": picture, "z": EMOJI}
    for picture in (EMOJI, f"#{EMOJI}0", f"0{EMOJI}#", "0e", ";", "#" * 500, "%0‰", "0.0.0", f"{EMOJI};{EMOJI}"):
        yield "$formatNumber(n, p)", {"n": 1e300, "p": picture}
        yield "$formatInteger(n, p)", {"n": 123, "p": picture}
    yield "$substring(s, 1, -1)", {"s": EMOJI}
    yield "$substring(s, a, b)", {"s": EMOJI * 3, "a": 1e300, "b": 1e300}
    yield "$substring(s, a)", {"s": EMOJI * 3, "a": MIN}
    yield "$substringAfter(s, 'o')", {"s": f"{EMOJI}o{EMOJI}"}
    yield "$decodeUrl(s)", {"s": f"%E0%A4{EMOJI}%"}
    yield "$base64decode(s)", {"s": f"{EMOJI}=="}


def abort() -> Iterator[tuple[str, Any]]:
    for low, high in ((MIN, MAX), (MAX - 1, MAX), (MIN, MIN + 1), (0, MAX), (MIN, 0), (1e300, 1e300), (-1e300, 1e300), (2**53, 2**53 + 2), (9e15, 9e18)):
        yield "[a..b]", {"a": low, "b": high}
    for number in (2e12, 1e300, MAX, -2e12):
        for picture in ("I", "i", "w", "W", "A", "1;o"):
            yield "$formatInteger(n, p)", {"n": number, "p": picture}
    for number in (MIN, MAX, 1e300):
        yield "$formatBase(n, 2)", {"n": number}
        yield "$fromMillis(n)", {"n": number}
        yield "$round(n, p)", {"n": number, "p": MAX}
        yield "$power(n, n)", {"n": number}
        yield "$[n]", {"n": number}
        yield "-n % -1", {"n": number}


@cache
def hostile() -> list[Hostile]:
    """Made when a test asks: they are millions of values, and each process that collects tests would make and keep them."""
    return [Hostile(kind.__name__, text, context) for kind in (time, memory, depth, panic, abort) for text, context in kind()]
