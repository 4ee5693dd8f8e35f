import ctypes
import json
import sys

library = ctypes.CDLL(sys.argv[1])


def find(name):
    for prefix in ("", "scipy_"):
        for suffix in ("", "64_", "_64", "64"):
            function = getattr(library, prefix + name + suffix, None)
            if function is not None:
                return function
    return None


def text(function, *arguments):
    function.restype = ctypes.c_char_p
    value = function(*arguments)
    return None if value is None else value.decode("utf-8", "replace").strip()


def openblas():
    config, core = find("openblas_get_config"), find("openblas_get_corename")
    if config is None and core is None:
        return None
    words = text(config).split() if config is not None else []
    version = words[1] if len(words) > 1 and words[0] == "OpenBLAS" else None
    return {"name": "openblas", "version": version, "kernel": text(core) if core is not None else None}


def mkl():
    function = find("MKL_Get_Version_String") or find("mkl_get_version_string")
    if function is None:
        return None
    buffer = ctypes.create_string_buffer(512)
    function.restype = None
    function(buffer, ctypes.c_int(len(buffer)))
    words = buffer.value.decode("utf-8", "replace").strip()
    _, _, rest = words.partition("Version ")
    version = rest.split()[0] if rest else None
    return {"name": "mkl", "version": version, "kernel": words or None}


def blis():
    version = find("bli_info_get_version_str")
    if version is None:
        return None
    query, name = find("bli_arch_query_id"), find("bli_arch_string")
    kernel = None
    if query is not None and name is not None:
        query.restype = ctypes.c_int
        name.argtypes = [ctypes.c_int]
        kernel = text(name, query())
    return {"name": "blis", "version": text(version), "kernel": kernel}


def plain():
    return {"name": "blas", "version": None, "kernel": None} if find("dgemm_") is not None else None


print(json.dumps(openblas() or mkl() or blis() or plain()))
