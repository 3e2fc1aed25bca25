// What a report's page needs of Vega: compile a Vega-Lite specification, show it as SVG, with tooltips, and without
// ever evaluating a string as a program (so that the page may forbid it).
import {compile} from 'vega-lite';
import {parse, View} from './slim.js';
import {expressionInterpreter} from 'vega-interpreter';
import {Handler} from 'vega-tooltip';

globalThis.unstuckFigures = {compile, parse, View, expressionInterpreter, Handler};
