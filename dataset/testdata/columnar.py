"""Write columnar.zip: small Parquet and Arrow files of one table, and the table as CSV, for TestColumnar.

Run it in this folder with pandas and pyarrow 19 or later; the file is committed, and the tests need no Python.
"""
import datetime
import decimal
import io
import itertools
import math
import random
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

rng = random.Random(1)


def values(n, nulls):
    """Return the columns of n rows: name, type, and values, of which some are null."""
    word = lambda: rng.choice(["red", "green", "blue", "deep blue", "grün"])
    columns = {
        "bool": (pa.bool_(), lambda i: i % 3 == 0),
        "i8": (pa.int8(), lambda i: rng.randint(-128, 127)),
        "u16": (pa.uint16(), lambda i: rng.randint(0, 65535)),
        "i32": (pa.int32(), lambda i: rng.randint(-(2**31), 2**31 - 1) >> rng.randint(0, 30)),
        "u32": (pa.uint32(), lambda i: 2**32 - 1 - i),
        "i64": (pa.int64(), lambda i: rng.randint(-(2**63), 2**63 - 1) >> rng.randint(0, 60)),
        "u64": (pa.uint64(), lambda i: 2**64 - 1 - i),
        "f32": (pa.float32(), lambda i: rng.randint(-999, 999) / 8),
        "f64": (pa.float64(), lambda i: rng.gauss(0, 1)),
        "word": (pa.string(), lambda i: word()),
        "fixed": (pa.decimal128(9, 2), lambda i: decimal.Decimal(rng.randint(-99999, 99999)) / 100),
        "y": (pa.int64(), lambda i: i % 2),
    }
    return {name: (t, [None if nulls and name != "y" and rng.random() < 0.2 else f(i) for i in range(n)])
            for name, (t, f) in columns.items()}


# Types that Arrow has beyond them.
EXTRA = {
    "f16": (pa.float16(), lambda i: rng.randint(-50, 50) / 4),
    "big": (pa.large_string(), lambda i: rng.choice("pqr")),
    "view": (pa.string_view(), lambda i: rng.choice(["short", "rather longer than twelve bytes"])),
    "coded": (pa.dictionary(pa.int8(), pa.string()), lambda i: rng.choice("uvw")),
    "coded ints": (pa.dictionary(pa.int16(), pa.int64()), lambda i: rng.choice([5, 70, 900])),
    "wide": (pa.decimal256(50, 3), lambda i: decimal.Decimal(rng.randint(-99999, 99999)) / 1000),
    "date": (pa.date32(), lambda i: datetime.date(2020, 1, 1) + datetime.timedelta(i % 4)),
    "when": (pa.timestamp("us"), lambda i: datetime.datetime(2020, 1, 31, 12, 30, i % 4, 250000 * (i % 2))),
    "zone": (pa.timestamp("s", "Europe/Paris"), lambda i: datetime.datetime(2020, 7, 1, i % 4, tzinfo=datetime.timezone.utc)),
    "clock": (pa.time32("s"), lambda i: datetime.time(23, i % 4, 1)),
}


def text(v):
    """Return a cell of CSV."""
    if v is None:
        return ""
    if isinstance(v, bool):
        return str(int(v))
    if isinstance(v, datetime.datetime):
        v = v.replace(tzinfo=None)
        return v.isoformat().rstrip("0").rstrip(".") + "Z" if v.microsecond else v.isoformat() + "Z"
    if isinstance(v, (datetime.date, datetime.time)):
        return v.isoformat()
    return str(v)


def csv(columns):
    rows = zip(*(v for _, v in columns.values()))
    return "\n".join([",".join(columns)] + [",".join(map(text, r)) for r in rows]) + "\n"


def table(columns):
    return pa.table({name: pa.array(v, t) for name, (t, v) in columns.items()})


INTS = ["i8", "u16", "i32", "u32", "i64", "u64", "y"]
FLOATS = ["f32", "f64"]
ENCODINGS = {
    "plain": {},
    "dictionary": None,
    "delta": dict.fromkeys(INTS, "DELTA_BINARY_PACKED") | {"word": "DELTA_LENGTH_BYTE_ARRAY", "bool": "RLE"}
    | dict.fromkeys(FLOATS, "BYTE_STREAM_SPLIT"),
    "delta2": dict.fromkeys(INTS, "BYTE_STREAM_SPLIT") | {"word": "DELTA_BYTE_ARRAY", "fixed": "DELTA_BYTE_ARRAY"},
}
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4", "lz4_raw"]

with zipfile.ZipFile("columnar.zip", "w", zipfile.ZIP_DEFLATED) as z:

    def put(name, b):
        z.writestr(zipfile.ZipInfo(name), b, zipfile.ZIP_DEFLATED)

    for size, nulls in itertools.product([12, 200], [False, True]):
        columns = values(size, nulls)
        folder = f"{size}{'-nulls' if nulls else ''}"
        put(f"{folder}/table.csv", csv(columns))
        t = table(columns)
        for codec, version, (name, encoding) in itertools.product(CODECS, ["1.0", "2.0"], ENCODINGS.items()):
            if size > 100 and codec != "zstd":
                continue
            out = io.BytesIO()
            pq.write_table(t, out, compression=codec, data_page_version=version, use_dictionary=encoding is None,
                           column_encoding=encoding or None, write_statistics=False, store_schema=False,
                           row_group_size=150 if size > 100 else 8, data_page_size=1000, version="2.6")
            put(f"{folder}/{codec}-{version}-{name}.parquet", out.getvalue())
        if size > 100:
            continue
        columns |= {name: (t, [None if nulls and rng.random() < 0.2 else f(i) for i in range(size)])
                    for name, (t, f) in EXTRA.items()}
        put(f"{folder}-arrow/table.csv", csv(columns))
        t = table(columns)
        for codec in ["uncompressed", "lz4", "zstd"]:
            out = io.BytesIO()
            feather.write_feather(t, out, compression=codec, chunksize=8)
            put(f"{folder}-arrow/{codec}.feather", out.getvalue())
            out = io.BytesIO()
            options = ipc.IpcWriteOptions(compression=None if codec == "uncompressed" else codec)
            with ipc.new_stream(out, t.schema, options=options) as w:
                w.write_table(t, max_chunksize=8)
            put(f"{folder}-arrow/{codec}.arrows", out.getvalue())

    nested = pa.array([{"q": 1, "r": {"s": "u"}}, None, {"q": 4, "r": None}, {"q": None, "r": {"s": "v"}}])
    t = pa.table({"p": nested, "y": [1, 2, 3, 4]})
    put("nested/table.csv", "p.q,p.r.s,y\n1,u,1\n,,2\n4,,3\n,v,4\n")
    out = io.BytesIO()
    pq.write_table(t, out, compression="lz4")
    put("nested/lz4.parquet", out.getvalue())
    out = io.BytesIO()
    feather.write_feather(t, out)
    put("nested/lz4.feather", out.getvalue())

    # Files to predict for: columns in another order, surplus ones, and no label in any row.
    train = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5], "b": ["u", "v", "u", "v"], "c": [True, False, True, True],
                          "label": [3, 4, 5, 6]})
    new = pd.DataFrame({"more": ["x", "y", "z"], "c": [False, True, False], "label": [None] * 3, "b": ["v", "u", "v"],
                        "when": pd.to_datetime(["2020-01-01"] * 3), "a": [7.5, 8.5, 9.5]}, index=[10, 20, 30])
    for name, frame in {"train": train, "new": new, "nan": new.assign(label=math.nan), "none": new.drop(columns="label")}.items():
        put(f"predict/{name}.csv", frame.replace({False: 0, True: 1}).to_csv(index=False))
        put(f"predict/{name}.tsv", frame.replace({False: 0, True: 1}).to_csv(index=False, sep="\t"))
        put(f"predict/{name}.jsonl", frame.to_json(orient="records", lines=True))
        put(f"predict/{name}.json", frame.to_json(orient="records"))
        put(f"predict/{name}.parquet", frame.to_parquet())
        out = io.BytesIO()
        frame.reset_index(drop=True).to_feather(out)
        put(f"predict/{name}.feather", out.getvalue())

    for name, column in {
        "list": [[1, 2], [3]],
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "duration": pa.array([1, 2], pa.duration("s")),
    }.items():
        t = pa.table({name: column, "y": [1, 2]})
        out = io.BytesIO()
        pq.write_table(t, out)
        put(f"refused/{name}.parquet", out.getvalue())
        out = io.BytesIO()
        feather.write_feather(t, out)
        put(f"refused/{name}.feather", out.getvalue())
    out = io.BytesIO()
    feather.write_feather(pa.table({"a": [1.5], "y": [1]}), out, version=1)
    put("refused/version1.feather", out.getvalue())
