// Vega without maps, force layouts, hierarchies, word clouds, label placement and crossfilter, which no figure uses.
// Voronoi cells find the point next to the mouse.
import {extend} from 'vega-util';
import {transforms} from 'vega-dataflow';
import * as tx from 'vega-transforms';
import * as vtx from 'vega-view-transforms';
import * as encode from 'vega-encode';
import * as voronoi from 'vega-voronoi';

extend(transforms, tx, vtx, encode, voronoi);

export {View} from 'vega-view';
export {parse} from 'vega-parser';
export {parseExpression} from 'vega-expression';
export {parseSelector} from 'vega-event-selector';
export * from 'vega-util';
