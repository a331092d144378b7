//! Adapters in PEFT's folder format: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor};

use super::lora::LoraWeights;
use super::peft_config::{PeftConfig, to_json};
use super::targets::{ModuleMatcher, Targets, pattern_name};
use super::{Adapter, LoraConfig, stacked_experts};
use crate::ModelError;
use crate::atomic_folder::{write_file, write_folder};
use crate::checkpoint::read_json;
use crate::transformer::{LinearModule, SharedTensor, Transformer};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
/// What older versions of PEFT wrote: code that runs when it is read.
const PICKLED: &str = "adapter_model.bin";
/// PEFT's description for people.
const CARD: &str = "README.md";
/// What PEFT puts before the name of a module.
const PREFIX: &str = "base_model.model.";

impl Adapter {
    /// Writes the adapter in PEFT's format: `PeftModel.from_pretrained(base, folder)` reads it. The
    /// folder appears as a whole; an adapter that is there is replaced.
    ///
    /// # Errors
    /// When the folder cannot be written, or has other files in it.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), ModelError> {
        let folder = folder.as_ref();
        self.check_config_describes_weights()?;
        let config = to_json(self.config(), self.base());
        let config = format!("{config:#}\n");
        let tensors = self.serialized(folder)?;
        let is_ours = |name: &str| [CONFIG, TENSORS, CARD].contains(&name);
        write_folder(folder, is_ours, |folder| {
            write_file(&folder.join(CONFIG), config.as_bytes())?;
            write_file(&folder.join(TENSORS), &tensors)
        })
    }

    /// Reads an adapter of `transformer` that PEFT, or [`Adapter::save`], wrote.
    pub(crate) fn load(folder: &Path, transformer: &Transformer) -> Result<Self, ModelError> {
        let tensors_path = folder.join(TENSORS);
        if !tensors_path.is_file() && folder.join(PICKLED).is_file() {
            return Err(ModelError::Unsupported {
                path: folder.to_owned(),
                field: "the file of the weights".to_owned(),
                found: PICKLED.to_owned(),
                supported: "adapter_model.safetensors (a .bin file may run code: convert it with PEFT)",
            });
        }
        let config_path = folder.join(CONFIG);
        let config = PeftConfig::from_json(&config_path, &read_json(&config_path)?)?;
        let loader = AdapterLoader {
            path: tensors_path,
            matcher: ModuleMatcher::new(&config.lora)?,
            config: &config,
            maps: transformer
                .linear_modules()
                .map(|map| (map.name.as_str(), map))
                .collect(),
        };
        let updates = loader.updates(transformer)?;
        let lora = loader.described_config(&updates)?;
        drop(loader);
        let adapter = Self::new(lora, config.base, updates);
        adapter.check_fits(transformer.linear_modules())?;
        Ok(adapter)
    }

    /// Fails if the configuration would not give every update the rank and scale that it has.
    fn check_config_describes_weights(&self) -> Result<(), ModelError> {
        let matcher = ModuleMatcher::new(self.config())?;
        for (module, update) in self.updates.iter() {
            let rank = update.a.size()[0];
            let is_described = matcher.selects(module)?
                && matcher.rank(module)? == rank
                && is_close(matcher.scale(module, rank)?, update.scale);
            if !is_described {
                let detail = format!("the configuration does not describe its update of {module}");
                return Err(ModelError::Adapter { detail });
            }
        }
        Ok(())
    }

    fn serialized(&self, folder: &Path) -> Result<Vec<u8>, ModelError> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (module, a, b) in self.modules() {
            for (letter, matrix) in [("A", a), ("B", b)] {
                let shape = matrix.size().iter().map(|&size| size as usize).collect();
                let matrix = matrix.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
                let numbers = Vec::<f32>::try_from(matrix.f_contiguous()?.f_view(-1)?)?;
                let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
                let name = format!("{PREFIX}{module}.lora_{letter}.weight");
                tensors.push((name, shape, bytes.collect()));
            }
        }
        let refused = |error: safetensors::SafeTensorError| ModelError::Safetensors {
            path: folder.join(TENSORS),
            detail: error.to_string(),
        };
        let mut views = Vec::with_capacity(tensors.len());
        for (name, shape, bytes) in &tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(refused)?;
            views.push((name, view));
        }
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        safetensors::serialize(views, Some(metadata)).map_err(refused)
    }
}

/// What is needed to make updates of the tensors of a file.
struct AdapterLoader<'a> {
    path: PathBuf,
    config: &'a PeftConfig,
    matcher: ModuleMatcher<'a>,
    maps: BTreeMap<&'a str, &'a LinearModule>,
}

/// The matrices of one name.
#[derive(Default)]
struct Pair {
    a: Option<Tensor>,
    b: Option<Tensor>,
}

/// What a tensor of the file is; the text is the name of a module of the model.
enum TensorRole<'a> {
    A(&'a str),
    B(&'a str),
    /// A copy of one of the model's own weights, as PEFT adds for an adapted output layer.
    Copy(&'a str),
}

impl<'a> TensorRole<'a> {
    fn of(tensor: &'a str) -> Option<Self> {
        let name = tensor.strip_prefix(PREFIX)?;
        if let Some(module) = name.strip_suffix(".lora_A.weight") {
            return Some(Self::A(module));
        }
        if let Some(module) = name.strip_suffix(".lora_B.weight") {
            return Some(Self::B(module));
        }
        let module = name.strip_suffix(".weight")?;
        let module = module.strip_suffix(".base_layer").unwrap_or(module);
        (!module.contains(".lora_")).then_some(Self::Copy(module))
    }
}

impl AdapterLoader<'_> {
    fn updates(
        &self,
        transformer: &Transformer,
    ) -> Result<BTreeMap<String, LoraWeights>, ModelError> {
        let mut updates = BTreeMap::new();
        for (module, (a, b)) in self.pairs(transformer)? {
            let rank = self.matcher.rank(&module)?;
            match stacked_experts::find(&module, &self.config.parameters) {
                None => {
                    self.check_rank(&module, "A", &a, 0, rank)?;
                    self.check_rank(&module, "B", &b, 1, rank)?;
                    let scale = self.matcher.scale(&module, rank)?;
                    let update = self.update(&module, &a, &b, scale)?;
                    updates.insert(module, update);
                }
                Some(parameter) => {
                    let rank = self.matcher.rank(&parameter.name)?;
                    let experts = parameter.experts(self.maps.keys().copied());
                    self.check_rank(&module, "A", &a, 0, rank * experts)?;
                    self.check_rank(&module, "B", &b, 1, rank * experts)?;
                    let scale = self.matcher.scale(&parameter.name, rank)?;
                    for (module, a, b) in parameter.split(&a, &b, experts)? {
                        let update = self.update(&module, &a, &b, scale)?;
                        updates.insert(module, update);
                    }
                }
            }
        }
        self.check_complete(&updates)?;
        Ok(updates)
    }

    /// A and B of every module that the file has, on the CPU.
    fn pairs(
        &self,
        transformer: &Transformer,
    ) -> Result<BTreeMap<String, (Tensor, Tensor)>, ModelError> {
        let bytes = std::fs::read(&self.path).map_err(|source| ModelError::Read {
            path: self.path.clone(),
            source,
        })?;
        let refused = |error: safetensors::SafeTensorError| ModelError::Safetensors {
            path: self.path.clone(),
            detail: error.to_string(),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(refused)?;
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        for (name, view) in file.iter() {
            let tensor = self.tensor(name, &view)?;
            match TensorRole::of(name) {
                Some(TensorRole::A(module)) => {
                    pairs.entry(module.to_owned()).or_default().a = Some(tensor);
                }
                Some(TensorRole::B(module)) => {
                    pairs.entry(module.to_owned()).or_default().b = Some(tensor);
                }
                Some(TensorRole::Copy(module)) => {
                    self.check_copy(name, &tensor, transformer.embedding_or_head(module))?;
                }
                None => {
                    return Err(self.unsupported(format!("tensor {name}"), "present"));
                }
            }
        }
        let missing = |module: &str, letter: char| ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: format!("{PREFIX}{module}.lora_{letter}.weight"),
        };
        let mut complete = BTreeMap::new();
        for (module, Pair { a, b }) in pairs {
            let a = a.ok_or_else(|| missing(&module, 'A'))?;
            let b = b.ok_or_else(|| missing(&module, 'B'))?;
            complete.insert(module, (a, b));
        }
        Ok(complete)
    }

    /// As `f32`: PEFT computes adapters in it whatever they are stored as.
    fn tensor(&self, name: &str, view: &TensorView) -> Result<Tensor, ModelError> {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => {
                let field = format!("the type of tensor {name}");
                return Err(self.unsupported(field, &format!("{other:?}")));
            }
        };
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        Ok(tensor.f_to_kind(Kind::Float)?)
    }

    /// The matrices where the map is that they update.
    fn update(
        &self,
        module: &str,
        a: &Tensor,
        b: &Tensor,
        scale: f64,
    ) -> Result<LoraWeights, ModelError> {
        let map = self.maps.get(module);
        let device = map.map_or(Device::Cpu, |map| map.device);
        Ok(LoraWeights {
            a: SharedTensor::new(a.f_to_device(device)?),
            b: SharedTensor::new(b.f_to_device(device)?),
            scale,
        })
    }

    /// Fails unless the matrix has two dimensions of which this one is `expected`.
    fn check_rank(
        &self,
        module: &str,
        letter: &str,
        matrix: &Tensor,
        dimension: usize,
        expected: i64,
    ) -> Result<(), ModelError> {
        let found = matrix.size();
        if found.len() == 2 && found[dimension] == expected {
            return Ok(());
        }
        let other = found.get(1 - dimension).copied().unwrap_or(0);
        Err(ModelError::Shape {
            path: self.path.clone(),
            tensor: format!("{PREFIX}{module}.lora_{letter}.weight"),
            expected: match dimension {
                0 => vec![expected, other],
                _ => vec![other, expected],
            },
            found,
        })
    }

    /// Fails if the file brings another weight than the model has: an adapter does not replace any.
    fn check_copy(
        &self,
        name: &str,
        tensor: &Tensor,
        own: Option<&Tensor>,
    ) -> Result<(), ModelError> {
        let Some(own) = own else {
            return Err(self.unsupported(format!("tensor {name}"), "present"));
        };
        let own = own.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
        // Both may have been rounded to bfloat16, which keeps eight binary digits.
        let is_same =
            own.size() == tensor.size() && own.f_allclose(tensor, 1.0 / 256.0, 1e-30, false)?;
        if is_same {
            return Ok(());
        }
        let field = format!("tensor {name}");
        Err(self.unsupported(field, "another weight than the model's own"))
    }

    /// Fails if a target of the configuration is not in the file.
    fn check_complete(&self, updates: &BTreeMap<String, LoraWeights>) -> Result<(), ModelError> {
        if updates.is_empty() {
            return Err(self.unsupported("the file".to_owned(), "without any update"));
        }
        if self.config.is_narrowed {
            return Ok(());
        }
        for module in self.maps.keys() {
            if self.matcher.selects(module)? && !updates.contains_key(*module) {
                return Err(ModelError::MissingTensor {
                    path: self.path.clone(),
                    tensor: format!("{PREFIX}{module}.lora_A.weight"),
                });
            }
        }
        Ok(())
    }

    /// The configuration in the terms of [`LoraConfig`] alone, where it has other ones.
    fn described_config(
        &self,
        updates: &BTreeMap<String, LoraWeights>,
    ) -> Result<LoraConfig, ModelError> {
        let mut lora = self.config.lora.clone();
        if self.config.is_narrowed || !self.config.parameters.is_empty() {
            lora.targets = Targets::Names(updates.keys().cloned().collect());
            for (module, update) in updates {
                let rank = update.a.size()[0];
                let name = || fancy_regex::escape(&pattern_name(module)).into_owned();
                if self.matcher.rank(module)? != rank {
                    lora.rank_pattern.insert(name(), rank);
                }
                if !is_close(self.matcher.scale(module, rank)?, update.scale) {
                    let alpha = update.scale / lora.scale(rank, 1.0);
                    lora.alpha_pattern.insert(name(), alpha);
                }
            }
        }
        Ok(lora)
    }

    fn unsupported(&self, field: String, found: &str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.clone(),
            field,
            found: found.to_owned(),
            supported: "the matrices A and B of linear maps, as F32, F16 or BF16",
        }
    }
}

/// Whether two scales differ by no more than the arithmetic between alpha and scale.
fn is_close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-12 * other.abs()
}
