"""Which of vLLM's engine arguments tierlab models, and which it must refuse.

Names and meanings: vLLM 0.19, ``vllm/engine/arg_utils.py`` and ``vllm/config``. Whatever stands in
neither table is ignored with a warning: it concerns the server, or how fast a kernel is, which the
time model says.
"""

from __future__ import annotations

ENGINE = {
    "tensor_parallel_size": ("engine.tensor_parallel_size", "integer"),
    "block_size": ("engine.block_size", "integer"),
    "max_num_seqs": ("engine.max_num_seqs", "integer"),
    "max_num_batched_tokens": ("engine.max_num_batched_tokens", "integer"),
    "max_model_len": ("engine.max_model_len", "integer"),
    "gpu_memory_utilization": ("engine.gpu_memory_utilization", "number"),
    "num_gpu_blocks": ("engine.num_gpu_blocks", "integer"),
    "num_gpu_blocks_override": ("engine.num_gpu_blocks", "integer"),
    "async_scheduling": ("engine.async_scheduling", "flag"),
}
"""Argument -> (key of the scenario, kind). `num_gpu_blocks` is what vLLM found at start."""

NAMED = (
    "model",
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "enable_prefix_caching",
    "data_parallel_size",
    "performance_mode",
    "enforce_eager",
    "cudagraph_capture_sizes",
    "max_cudagraph_capture_size",
    "compilation_config",
    "optimization_level",
    "device_name",
    "kv_transfer_config",
    "kv_offloading_size",
    "kv_offloading_backend",
)
"""Arguments whose values are translated."""

WEIGHTS = {
    "fp8": "fp8",
    "awq": "int4",
    "awq_marlin": "int4",
    "gptq": "int4",
    "gptq_marlin": "int4",
    "mxfp4": "mxfp4",
    "modelopt_fp4": "nvfp4",
}
"""Quantisation -> stored weights; AWQ and GPTQ are taken at their usual four bits."""
DTYPES = {"auto", "bfloat16", "float16", "half"}
"""Two bytes each: `bf16` stands for all of them."""
KV_DTYPES = {"auto": "", "bfloat16": "", "fp8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8"}
"""KV cache type -> representation of the design; empty: as the preset has it."""

REFUSED: dict[str, tuple[object, str]] = {
    "pipeline_parallel_size": (1, "the engine has no pipeline stages"),
    "decode_context_parallel_size": (1, "a request's KV is not split over GPUs by tokens"),
    "prefill_context_parallel_size": (1, "a prompt is not split over GPUs"),
    "enable_expert_parallel": (False, "experts are split by tensor parallelism only"),
    "enable_dbo": (False, "a step is one batch"),
    "speculative_config": (None, "a step emits one token a request"),
    "speculative_model": (None, "a step emits one token a request"),
    "ec_transfer_config": (None, "this engine's cache moves to no connector"),
    "cpu_offload_gb": (0, "weights stay in GPU memory"),
    "kv_cache_memory_bytes": (0, "the pool is given in blocks: num_gpu_blocks_override"),
    "enable_chunked_prefill": (True, "prefill is always chunked"),
    "scheduling_policy": ("fcfs", "requests are served first come, first served"),
    "scheduler_cls": (None, "the scheduler is vLLM's own"),
    "watermark": (0, "a request is admitted as soon as it fits, no blocks are kept free"),
    "scheduler_reserve_full_isl": (True, "a request is admitted once its whole input fits"),
    "max_num_partial_prefills": (1, "prompts are prefilled in order"),
    "max_long_partial_prefills": (1, "prompts are prefilled in order"),
    "long_prefill_token_threshold": (0, "only the token budget cuts a prompt into chunks"),
    "max_num_scheduled_tokens": (0, "the token budget is max_num_batched_tokens"),
    "num_scheduler_steps": (1, "each step is scheduled"),
    "enable_lora": (False, "adapters have no cost yet"),
    "lora_config": (None, "adapters have no cost yet"),
    "hf_overrides": (None, "the model is the catalogue's; give its changed config.json instead"),
    "disable_sliding_window": (False, "windows are part of the model"),
}
"""Argument -> (the one value that changes nothing, why another cannot be honoured)."""

SPEED = (
    "all2all_backend",
    "attention_backend",
    "attention_config",
    "disable_custom_all_reduce",
    "kernel_config",
    "mamba_cache_dtype",
    "mm_processor_cache_gb",
    "moe_backend",
    "quantization_config",
    "stream_interval",
)
"""Arguments that make kernels or the frontend faster or slower, unseen by the time model."""

HARMLESS = ("served_model_name", "model_impl", "kv_cache_metrics", "data_parallel_rank")
"""Arguments without effect here whose names come close to others'."""

KNOWN = {*ENGINE, *NAMED, *REFUSED}
