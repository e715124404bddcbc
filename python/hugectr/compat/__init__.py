# SPDX-License-Identifier: Apache-2.0
"""Interfaces of earlier releases, each a thin layer over today's.

============================  ========  ================================================================
module                        releases
============================  ========  ================================================================
``solver_parser``             2.3, 3.0  ``solver_parser_helper`` and ``SolverParser``
``training_json``             2.3, 3.0  the training JSON: its optimizer, Data and solver clauses
``session``                   2.3, 3.0  ``Session``
``preview``                   3.0       the first ``Model`` without JSON, and ``hugectr.optimizer``
``forms``                     2.3-3.7   orders and spellings of arguments that one release had
``oversubscriber``            3.1, 3.2  ``CreateMOS``
============================  ========  ================================================================
"""
