"""The classes, commands and options of OpenDSS: which are read, which are left out, which are refused."""

from __future__ import annotations

from gridmodel.grid.dss.capcontrol import CapControlDraft
from gridmodel.grid.dss.conductors import CNData, TSData, WireData
from gridmodel.grid.dss.draft import Draft, split
from gridmodel.grid.dss.generation import GeneratorDraft, PVSystemDraft, StorageDraft
from gridmodel.grid.dss.geometry import LineGeometry, LineSpacing
from gridmodel.grid.dss.invcontrol import InvControlDraft
from gridmodel.grid.dss.lines import LineCode, LineDraft
from gridmodel.grid.dss.loads import LoadDraft
from gridmodel.grid.dss.shapes import CurveDraft, ShapeDraft
from gridmodel.grid.dss.shunts import CapacitorDraft, ReactorDraft
from gridmodel.grid.dss.sources import VsourceDraft
from gridmodel.grid.dss.transformers import RegControlDraft, TransformerDraft, XfmrCode

__all__ = ["COMMANDS", "IGNORED_CLASSES", "KINDS", "OPTIONS", "REFUSED_CLASSES", "REFUSED_COMMANDS"]

KINDS: dict[str, type[Draft]] = {
    kind.kind.lower(): kind
    for kind in (
        WireData, CNData, TSData, LineSpacing, LineGeometry, VsourceDraft, LineCode, LineDraft, XfmrCode,
        TransformerDraft, RegControlDraft, CapacitorDraft, ReactorDraft, LoadDraft, GeneratorDraft, PVSystemDraft,
        StorageDraft, ShapeDraft, CurveDraft, CapControlDraft, InvControlDraft,
    )
}  # fmt: skip

# Why a class may be left out: it measures or protects ("quiet"), or it would change the solution ("control").
IGNORED_CLASSES: dict[str, str] = {
    **dict.fromkeys(
        split("monitor energymeter sensor fuse relay recloser tcc_curve spectrum growthshape priceshape")
        + split("tshape dynamicexp"),
        "it measures, protects or serves other studies",
    ),
    **dict.fromkeys(
        split("swtcontrol expcontrol storagecontroller gendispatcher upfccontrol espvlcontrol"),
        "the element that it controls stays as the file declares it",
    ),
}  # fmt: skip

REFUSED_CLASSES = frozenset(
    split("isource vccs fault upfc indmach012 gicsource autotrans gicline gictransformer vsconverter windgen")
)

COMMANDS = split(
    "new edit more m ~ select save show solve enable disable plot reset compile set dump open close redirect help quit "
    "next panel sample clear about calcvoltagebases setkvbase buildy get init export fileedit voltages currents powers "
    "seqvoltages seqcurrents seqpowers losses phaselosses cktlosses allocateloads formedit totals capacity classes "
    "userclasses zsc zsc10 zscrefresh ysc puvoltages varvalues varnames buscoords makebuslist makeposseq reduce "
    "interpolate alignfile top rotate vdiff summary distribute di_plot comparecases yearlycurves cd visualize closedi "
    "doscmd estimate reconductor _initsnap _solvenocontrol _samplecontrols _docontrolactions _showcontrolqueue "
    "_solvedirect _solvepflow addbusmarker uuids setloadandgenkv cvrtloadshapes nodediff rephase setbusxy "
    "updatestorage obfuscate latlongcoords batchedit pstcalc variable reprocessbuses clearbusmarkers relcalc var "
    "cleanup finishtimestep nodelist connect disconnect remove calcincmatrix calcincmatrix_o refine_buslevels "
    "calclaplacian exportoverloads exportvviolations zsc012 allpceatbus allpdeatbus totalpowers giscoords clearall "
    "comhelp newactor wait solveall abort clone"
)

REFUSED_COMMANDS = frozenset(
    split("allocateloads distribute reduce makeposseq rephase reconductor remove setloadandgenkv var clone")
)

OPTIONS = split(
    "type element hour sec year frequency stepsize mode random number time class object circuit editor tolerance "
    "maxiterations h loadmodel loadmult normvminpu normvmaxpu emergvminpu emergvmaxpu %mean %stddev ldcurve %growth "
    "genkw genpf capkvar addtype allowduplicates zonelock ueweight lossweight ueregs lossregs voltagebases algorithm "
    "trapezoidal autobuslist controlmode tracecontrol genmult defaultdaily defaultyearly allocationfactors cktmodel "
    "pricesignal pricecurve terminal basefrequency harmonics maxcontroliter bus datapath keeplist reduceoption "
    "demandinterval %normal diverbose casename markercode nodewidth log recorder overloadreport voltexceptionreport "
    "cfactors showexport numallociterations defaultbasefrequency markswitches switchmarkercode daisysize "
    "marktransformers transmarkercode transmarkersize loadshapeclass earthmodel querylog markcapacitors markregulators "
    "markpvsystems markstorage capmarkercode regmarkercode pvmarkercode storemarkercode capmarkersize regmarkersize "
    "pvmarkersize storemarkersize neglectloady markfuses fusemarkercode fusemarkersize markreclosers "
    "reclosermarkercode reclosermarkersize registryupdate markrelays relaymarkercode relaymarkersize processtime "
    "totaltime steptime sampleenergymeters miniterations dssvisualizationtool keepload zmag seasonrating seasonsignal "
    "linetypes eventlogdefault longlinecorrection showreports numcpus numcores numactors activeactor cpu actorprogress "
    "parallel concatenatereports numanodes"
)
