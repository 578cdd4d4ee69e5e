# SPDX-License-Identifier: Apache-2.0
"""tests/integration/sdk.py - what of the SageMaker SDK writes and reads records, without the rest of
it, which takes 4 s of processor time to import: the package's own __init__ is passed by."""

import importlib.util
import sys
import types


def _import_parts():
    found = importlib.util.find_spec("sagemaker")
    package = types.ModuleType("sagemaker")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["sagemaker"] = package
    try:
        from sagemaker import serializer_utils
        from sagemaker.amazon import record_pb2
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "sagemaker"]:
            del sys.modules[name]  # whoever wants all of it gets it whole
    return serializer_utils, record_pb2


_writers, _records = _import_parts()
Record = _records.Record
write_numpy_to_dense_tensor = _writers.write_numpy_to_dense_tensor
write_spmatrix_to_sparse_tensor = _writers.write_spmatrix_to_sparse_tensor
