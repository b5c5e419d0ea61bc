"""Lines by their wires: bare, with concentric neutrals, with tapes, reduced and not, in all units."""

from __future__ import annotations

WIRES = """New WireData.a Runits=mi Rac=0.306 GMRunits=ft GMRac=0.0244 Radunits=in Diam=0.721 normamps=530
New WireData.b Rdc=0.2 Runits=km GMRac=0.01 GMRunits=m
New WireData.c Rac=0.5 Rdc=.45 Runits=kft Radius=.4 Radunits=cm normamps=99
New WireData.d Rac=0.5 Runits=km GMRac=.3 gmrunits=cm diam=1 capradius=2
New CNData.n Runits=km Radunits=cm GMRunits=cm InsLayer=0.445 DiaIns=2.11 DiaCable=2.74 epsR=2.3 Rac=0.603
~ GMRac=0.338 diam=0.935 Rstrand=2.55 GMRstrand=0.02496 DiaStrand=0.064 k=6
New CNData.o k=13 DiaStrand=0.0641 Rstrand=14.8722 epsR=2.4 InsLayer=0.220 DiaIns=1.06 DiaCable=1.16 Rac=0.41
~ GMRac=0.0171 diam=0.567 Runits=mi Radunits=in GMRunits=ft
New TSData.t Diashield=0.88 tapelayer=0.005 tapelap=25 epsr=2.3 inslayer=0.22 diains=.82 diacable=1.06 rac=0.97
~ gmrac=0.0111 diam=0.368 runits=mi radunits=in gmrunits=ft
New TSData.u Diashield=22 tapelayer=0.13 inslayer=5 diains=20 diacable=27 rac=0.5 radius=4 runits=km radunits=mm
New LineSpacing.four nconds=4 nphases=3 x=[-4 -1.5 3 0] h=[28 28 28 24] units=ft
New LineSpacing.three nconds=3 nphases=3 x=[-.5 0 .5] h=[-1 -1 -1] units=m
New LineSpacing.two nphases=1 nconds=2 units=m x=[0 .3] h=[-1 -1]
"""
GEOMETRIES = {
    "reduced": """nconds=4 nphases=3 reduce=yes
~ cond=1 wire=a units=ft x=-4 h=28
~ cond=2 wire=a x=-1.5 h=28
~ cond=3 wire=a x=3 h=28
~ cond=4 wire=b x=0 h=24""",
    "whole": """nconds=4 nphases=3
~ cond=1 wire=a units=m x=-4 h=28
~ cond=2 wire=c x=-1.5 h=28
~ cond=3 wire=a x=3 h=28
~ cond=4 wire=d x=0 h=24""",
    "metres": "nconds=1 nphases=1 wire=a x=0 h=10",
    "cable": "nconds=1 nphases=1\n~ cond=1 CNcable=n x=0 h=-1.22 units=m",
    "cables": """nconds=4 nphases=3 reduce=y
~ cond=1 CNcable=o x=-.5 h=-4 units=ft
~ cond=2 CNcable=o x=0 h=-4
~ cond=3 CNcable=o x=.5 h=-4
~ cond=4 wire=b x=.7 h=-4""",
    "tape": "nconds=2 nphases=1 reduce=y\n~ cond=1 TScable=t x=0 h=-4 units=ft\n~ cond=2 wire=a x=.25 h=-4",
    "placed": "nconds=3 nphases=3\n~ spacing=three CNcables=[n o n]",
    "spaced": "nconds=4 nphases=3 reduce=y spacing=four wires=[a a a b]",
}
LINES = {
    **{name: f"geometry={name}" for name in GEOMETRIES},
    "own": "spacing=four wires=[a c d b]",
    "own_cables": "spacing=three cncables=[n n o]",
    "own_tapes": "spacing=three tscables=[u u u]",
    "own_neutral": "spacing=two cncables=[n] wires=[b]",
}
CASES = [
    ("deri", 60, ""),
    ("carson", 60, "units=kft"),
    ("fullcarson", 60, "units=mi rho=30"),
    ("deri", 1500, "units=km"),
]


def script(earth: str, hertz: int, properties: str) -> str:
    """A circuit with all of the lines, 2500 m or 2.5 of another unit long."""
    length = 2.5 if "units" in properties else 2500
    geometries = [f"New LineGeometry.{name} {text}" for name, text in GEOMETRIES.items()]
    lines = [
        f"New Line.{name} bus1=sourcebus bus2=b_{name} {text} length={length} {properties}"
        for name, text in LINES.items()
    ]
    head = f"Clear\nSet DefaultBaseFrequency={hertz}\nNew Circuit.wires\nSet EarthModel={earth}\n"
    return head + WIRES + "\n".join([*geometries, *lines]) + "\n"
