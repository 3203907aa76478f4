"""The summary of a result as an engineer's one-pager on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]
HELD = {True: "holds", False: "MISSED", None: ""}


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Print every section of a summary; colours and lines vanish by themselves when piped."""
    _head(summary["case"], console)
    _money(summary["money"], console)
    _energy(summary["energy"], console)
    _peaks(summary["peaks"], console)
    _commitment(summary["commitment"], console)
    _curtailment(summary["curtailment"], console)
    _flexibility(summary["flexibility"], console)
    print_mix(summary.get("mix", ()), console)
    _bill(summary["bill"], summary.get("bill_notes", ()), console)
    _proof(summary["proof"], console)
    print_network(summary["network"], console)
    _security(summary["security"], console)
    print_certificates(summary["certificates"], console)


def usd(amount: float) -> str:
    """Dollars without cents, with separators."""
    return f"{amount:,.0f}"


def _head(case: Row, console: Console) -> None:
    console.print(f"[bold]{case['name']}[/bold]  {case['title']}", highlight=False)
    ends = "ends wrap (steady state)" if case["ends"] == "wrap" else "fixed ends"
    console.print(
        f"{case['steps']:,} steps of {case['step_min']} min from {case['start']} {case['zone']}, {ends}; "
        f"network {case['network'] or 'none'}\n",
        highlight=False,
    )


def table(title: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], console: Console) -> None:
    """Print a table; `columns` are (heading, "left" or "right"); nothing is printed for no rows."""
    entries = list(rows)
    if not entries:
        return
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading, justify in columns:
        grid.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    for entry in entries:
        grid.add_row(*entry)
    console.print(grid)
    console.print()


def _money(rows: Sequence[Row], console: Console) -> None:
    total = sum(row["usd"] for row in rows)
    lines = [
        (row["item"], usd(row["usd"]) if row["usd"] > 0 else "", usd(-row["usd"]) if row["usd"] < 0 else "")
        for row in rows
    ]
    word = "net cost" if total > 0 else "net revenue"
    lines.append((word, usd(total) if total > 0 else "", usd(-total) if total <= 0 else ""))
    table("Money, USD", [("item", "left"), ("cost", "right"), ("revenue", "right")], lines, console)


def _energy(rows: Sequence[Row], console: Console) -> None:
    columns = [("part", "left"), ("source", "right"), ("sink", "right"), ("highest MW", "right")]
    lines = [
        (row["part"], _quiet(row["source_mwh"]), _quiet(row["sink_mwh"]), f"{row['highest_mw']:,.1f}") for row in rows
    ]
    lines.append(("total", usd(sum(row["source_mwh"] for row in rows)), usd(sum(row["sink_mwh"] for row in rows)), ""))
    table("Energy, MWh", columns, lines, console)


def _peaks(rows: Sequence[Row], console: Console) -> None:
    columns = [
        ("meter", "left"),
        ("month", "left"),
        ("import MW", "right"),
        ("at", "left"),
        ("export MW", "right"),
        ("import MWh", "right"),
    ]
    table(
        "Peaks by month",
        columns,
        [
            (
                row["poi"],
                row["month"],
                f"{row['import_mw']:,.2f}",
                row["at"],
                f"{row['export_mw']:,.2f}",
                usd(row["import_mwh"]),
            )
            for row in rows
        ],
        console,
    )


def _commitment(rows: Sequence[Row], console: Console) -> None:
    columns = [
        ("part", "left"),
        ("unit hours", "right"),
        ("hours running", "right"),
        ("starts", "right"),
        ("MWh", "right"),
    ]
    table(
        "Commitment",
        columns,
        [
            (row["part"], usd(row["unit_hours"]), usd(row["hours_any"]), usd(row["starts"]), usd(row["energy_mwh"]))
            for row in rows
        ],
        console,
    )


def _curtailment(rows: Sequence[Row], console: Console) -> None:
    columns = [
        ("part", "left"),
        ("priced at the meter by", "left"),
        ("MWh", "right"),
        ("hours", "right"),
        ("highest MW", "right"),
    ]
    table(
        "Curtailed, and why",
        columns,
        [
            (row["part"], row["reason"], f"{row['mwh']:,.1f}", f"{row['hours']:,.1f}", f"{row['highest_mw']:,.2f}")
            for row in rows
        ],
        console,
    )


def _flexibility(rows: Sequence[Row], console: Console) -> None:
    columns = [
        ("program", "left"), ("service", "left"), ("provider", "left"), ("highest MW", "right"), ("MW-h", "right"),
        ("hours", "right"), ("USD/MW-h", "right"), ("USD", "right"), ("called MWh", "right"), ("", "left"),
    ]  # fmt: skip
    lines = [
        (
            row["program"], row["service"], row["provider"], f"{row['largest_mw']:,.2f}", usd(row["sold_mwh"]),
            usd(row["hours"]), f"{row['price_usd_per_mwh']:,.2f}", usd(row["earned_usd"]), usd(row["called_mwh"]),
            "deliverable" if row["deliverable"] else "NOT DELIVERABLE",
        )
        for row in rows
    ]  # fmt: skip
    table("Flexibility sold", columns, lines, console)


def print_mix(rows: Sequence[Row], console: Console) -> None:
    """MW of every use of a shared pool in the first and the last month, and what a MW and year earned."""
    columns = [
        ("pool", "left"), ("use", "left"), ("first MW", "right"), ("last MW", "right"), ("USD/MW-year", "right"),
        ("conversion USD", "right"),
    ]  # fmt: skip
    lines = []
    for row in rows:
        months = [row[name] for name in row if name[:4].isdigit()]
        per_mw = row["revenue_usd_per_mw_year"]
        lines.append(
            (
                row["pool"], row["use"], f"{months[0]:,.2f}", f"{months[-1]:,.2f}",
                "" if per_mw is None else usd(per_mw), usd(row["conversion_usd"]),
            )
        )  # fmt: skip
    table("Mix of shared capacity", columns, lines, console)


def _bill(rows: Sequence[Row], notes: Sequence[str], console: Console) -> None:
    columns = [("tariff", "left"), ("charge", "left"), ("USD", "right")]
    table("Bill", columns, [(row["tariff"], row["charge"], f"{row['usd']:,.2f}") for row in rows], console)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    if notes:
        console.print()


def _proof(proof: Row, console: Console) -> None:
    console.print("[bold]Proof[/bold]")
    console.print(
        f"objective {proof['objective_usd']:,.2f} USD, bound {proof['bound_usd']:,.2f} USD, gap {proof['gap']:.4%}, "
        f"reached by {proof['reached_by']}",
        highlight=False,
    )
    seconds = ", ".join(f"{stage['stage']} {stage['seconds']:.1f} s" for stage in proof["stages"])
    console.print(
        f"{proof['rows']:,} rows, {proof['columns']:,} columns, {proof['integers']:,} integers; {seconds}\n",
        highlight=False,
    )


def print_network(network: Row | None, console: Console) -> None:
    """Print worst voltage and loading and what breaks a limit."""
    if network is None:
        return
    console.print("[bold]AC power flow[/bold]")
    covered = (
        f"{network['steps']:,} of {network['steps']:,} steps solved"
        if not network["divergent"]
        else f"{network['divergent']} steps without a solution"
    )
    console.print(f"{covered}; losses {network['losses_mwh']:,.0f} MWh", highlight=False)
    for name, unit in (("lowest_voltage", "pu"), ("highest_voltage", "pu"), ("highest_loading", "%")):
        worst = network[name]
        if worst["value"] is not None:
            value = f"{worst['value']:.4f} pu" if unit == "pu" else f"{worst['value']:.1f} %"
            console.print(f"{name.replace('_', ' ')} {value} at {worst['element']}, {worst['at']}", highlight=False)
    if network["violations"]:
        console.print(f"[bold red]{network['violations']:,} limits broken[/bold red]; the first:")
        columns = [("element", "left"), ("kind", "left"), ("at", "left"), ("value", "right"), ("limit", "right")]
        lines = [
            (item["element"], item["kind"], item["at"], _number(item["value"]), _number(item["limit"]))
            for item in network["violation_list"][:10]
        ]
        table("", columns, lines, console)
    else:
        console.print("no limit broken\n")


def _security(security: Row | None, console: Console) -> None:
    if security is None:
        return
    headings = ("round", "objective USD", "limits broken", "after outages", "loss miss MW", "MWh", "rows")
    lines = [
        (
            str(place), usd(entry["objective_usd"]), usd(entry["violations"]), usd(entry["outage_violations"]),
            f"{entry['loss_miss_mw']:.3f}", f"{entry['loss_miss_mwh']:,.1f}", usd(entry["rows"]),
        )
        for place, entry in enumerate(security["rounds"])
    ]  # fmt: skip
    table("Network in the dispatch", [(heading, "right") for heading in headings], lines, console)
    last = len(security["rounds"]) - 1
    if security.get("round", last) != last:
        console.print(f"no round is accepted; this is round {security['round']}, the best found", highlight=False)
    console.print(f"limits and losses of the network cost {usd(security['cost_of_network_usd'])} USD", highlight=False)
    columns = [("element", "left"), ("limit", "left"), ("at", "left"), ("USD per % point", "right")]
    prices = [
        (item["element"], _limit(item), item["at"], f"{item['usd_per_percent']:,.2f}")
        for item in security["shadow_prices"][:8]
    ]
    table("Dearest limits", columns, prices, console)
    print_outages(security["outages"], console)


def _limit(item: Row) -> str:
    return f"{item['quantity']} after {item['outage']}" if item["outage"] else str(item["quantity"])


def print_outages(outages: Row | None, console: Console) -> None:
    """Print the ledger of an outage study and its worst cases."""
    if outages is None:
        return
    ledger = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in outages["ledger"].items() if count)
    console.print(f"[bold]Outages[/bold]\n{ledger}", highlight=False)
    if outages.get("actions"):
        console.print(f"actions: {outages['actions']}", highlight=False)
    if outages["screening_recall"] is not None:
        console.print(f"screened; recall on a solved sample {outages['screening_recall']:.1%}", highlight=False)
    columns = [
        ("outage", "left"), ("loading %", "right"), ("of normal %", "right"), ("element", "left"), ("at", "left"),
        ("dV pu", "right"), ("broken", "right"), ("islanded", "right"), ("lost MW", "right"),
    ]  # fmt: skip
    lines = [
        (
            row["outage"], f"{row['loading_percent']:.1f}", _number(row.get("normal_percent")), row["element"],
            row["at"], _number(row.get("voltage_change_pu")), usd(row["broken_steps"]), usd(row["islanded_steps"]),
            f"{row['lost_mw']:.1f}",
        )
        for row in outages["worst"][:12]
    ]  # fmt: skip
    table("Worst outages, loading in percent of the emergency rating", columns, lines, console)
    _islands(outages.get("islands", ()), console)


def _islands(rows: Sequence[Row], console: Console) -> None:
    columns = [
        ("outage", "left"), ("survived", "right"), ("islanded", "right"), ("broken", "right"), ("lost MW", "right"),
        ("tripped MW", "right"), ("redispatched MW", "right"), ("least reserve MW", "right"),
    ]  # fmt: skip
    lines = [
        (
            row["outage"], usd(row["survived_steps"]), usd(row["islanded_steps"]), usd(row["broken_steps"]),
            f"{row['lost_mw']:.1f}", f"{row['tripped_mw']:.1f}", f"{row['redispatched_mw']:.1f}",
            f"{row['least_reserve_mw']:.1f}",
        )
        for row in rows
    ]  # fmt: skip
    table("On its own, steps", columns, lines, console)


def print_certificates(rows: Sequence[Row], console: Console) -> None:
    """Print every check with its residual."""
    columns = [
        ("check", "left"),
        ("residual", "right"),
        ("tolerance", "right"),
        ("unit", "left"),
        ("", "left"),
        ("where", "left"),
    ]
    lines = [
        (
            row["check"], "none" if row["residual"] is None else f"{row['residual']:.1e}", f"{row['tolerance']:.1e}",
            row["unit"], HELD[row["holds"]], row["where"],
        )
        for row in rows
    ]  # fmt: skip
    table("Certificates", columns, lines, console)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _quiet(amount: float) -> str:
    return usd(amount) if amount >= 0.5 else ""


__all__ = ["print_certificates", "print_network", "print_outages", "print_summary", "table", "usd"]
