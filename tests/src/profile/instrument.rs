//! Adds calls to a module: they report each function that begins, and each run of instructions that
//! begins.

use super::code::{AMOUNT, BACK, Code, DEPTH, ENTER, HOOK, MODULE};
use parser::{CompositeInnerType, ExternalKind, Operator, Parser, Payload, TypeRef};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection, Instruction, Module,
    SectionId, TypeSection, ValType,
};

type Result<T = (), E = Error> = std::result::Result<T, E>;

/// What a module declares.
#[derive(Default)]
struct Surface {
    /// The number of parameters of each type that is a function's.
    parameters: Vec<u32>,
    /// The types of all functions, the imported ones first.
    functions: Vec<u32>,
    imported: u32,
    /// The functions that the host calls.
    entries: Vec<u32>,
    /// Whether each memory, and each table, has addresses of 64 bits.
    wide_memories: Vec<bool>,
    wide_tables: Vec<bool>,
}

impl Surface {
    fn read(bytes: &[u8]) -> parser::Result<Self> {
        let mut surface = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(types) => {
                    for group in types {
                        surface.parameters.extend(group?.into_types().map(|ty| match &ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => size(ty.params().len()),
                            _ => 0,
                        }));
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => surface.functions.push(ty),
                            TypeRef::Memory(ty) => surface.wide_memories.push(ty.memory64),
                            TypeRef::Table(ty) => surface.wide_tables.push(ty.table64),
                            TypeRef::Global(_) | TypeRef::Tag(_) => {}
                        }
                    }
                    surface.imported = size(surface.functions.len());
                }
                Payload::FunctionSection(functions) => {
                    for function in functions {
                        surface.functions.push(function?);
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        surface.wide_memories.push(memory?.memory64);
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        surface.wide_tables.push(table?.ty.table64);
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            surface.entries.push(export.index);
                        }
                    }
                }
                Payload::StartSection { func, .. } => surface.entries.push(func),
                _ => {}
            }
        }
        surface.entries.sort_unstable();
        surface.entries.dedup();
        Ok(surface)
    }

    fn type_of(&self, function: u32) -> u32 {
        self.functions.get(function as usize).copied().unwrap_or_default()
    }

    fn parameters_of(&self, function: u32) -> u32 {
        self.parameters.get(self.type_of(function) as usize).copied().unwrap_or_default()
    }

    /// The index of the function that the host calls in place of another.
    fn wrapper(&self, function: u32) -> u32 {
        let position = self.entries.binary_search(&function).unwrap_or_default();
        size(self.functions.len() + 1 + position)
    }

    /// For an operator whose work depends on its last operand: whether the operand has 64 bits.
    fn amount(&self, operator: &Operator<'_>) -> Option<bool> {
        let is_wide = |wide: &[bool], index: u32| wide.get(index as usize).copied().unwrap_or_default();
        let (memories, tables) = (&self.wide_memories, &self.wide_tables);
        Some(match *operator {
            Operator::MemoryCopy { dst_mem, src_mem } => is_wide(memories, dst_mem) && is_wide(memories, src_mem),
            Operator::MemoryFill { mem } => is_wide(memories, mem),
            Operator::TableCopy { dst_table, src_table } => is_wide(tables, dst_table) && is_wide(tables, src_table),
            Operator::TableFill { table } | Operator::TableGrow { table } => is_wide(tables, table),
            Operator::MemoryInit { .. } | Operator::TableInit { .. } => false,
            _ => return None,
        })
    }
}

fn size(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Whether an operator counts, as in wasmtime's fuel.
const fn counts(operator: &Operator<'_>) -> bool {
    !matches!(
        operator,
        Operator::Nop
            | Operator::Drop
            | Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::Unreachable
            | Operator::Return
            | Operator::Else
            | Operator::End
    )
}

/// Whether the next operator may be executed without this one, or less or more often.
const fn ends_run(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::Return
            | Operator::Unreachable
            | Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Rethrow { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. }
    )
}

struct Instrumenter {
    surface: Surface,
    code: Code,
    /// The number of bodies that were read.
    bodies: u32,
    /// Where the code section begins in the file.
    start: u64,
}

impl Instrumenter {
    /// Adds a call of the hook. Its second argument is on the stack.
    fn hook(&self, function: &mut Function) {
        function.instruction(&Instruction::Call(self.surface.imported));
    }

    /// Begins a run of instructions. Returns its number.
    fn begin(&mut self, function: &mut Function, depth: u32) -> usize {
        let run = self.code.begin();
        function.instruction(&Instruction::I32Const(size(run).cast_signed()));
        function.instruction(&Instruction::LocalGet(depth));
        self.hook(function);
        function.instruction(&Instruction::Drop);
        run
    }

    /// The function that the host calls: the callees of the function are not those of the next one.
    fn wrap(&self, entry: u32) -> Function {
        let parameters = self.surface.parameters_of(entry);
        let mut function = Function::new([(1, ValType::I32)]);
        function.instruction(&Instruction::I32Const(DEPTH.cast_signed()));
        function.instruction(&Instruction::I32Const(0));
        self.hook(&mut function);
        function.instruction(&Instruction::LocalSet(parameters));
        for parameter in 0..parameters {
            function.instruction(&Instruction::LocalGet(parameter));
        }
        function.instruction(&Instruction::Call(self.moved(entry)));
        function.instruction(&Instruction::I32Const(BACK.cast_signed()));
        function.instruction(&Instruction::LocalGet(parameters));
        self.hook(&mut function);
        function.instruction(&Instruction::Drop);
        function.instruction(&Instruction::End);
        function
    }

    /// The index of a function behind the hook.
    const fn moved(&self, function: u32) -> u32 {
        if function < self.surface.imported { function } else { function + 1 }
    }
}

impl Reencode for Instrumenter {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32> {
        Ok(self.moved(function))
    }

    fn start_section(&mut self, start: u32) -> Result<u32> {
        Ok(self.surface.wrapper(start))
    }

    fn parse_custom_section(&mut self, _: &mut Module, _: parser::CustomSectionReader<'_>) -> Result {
        Ok(())
    }

    fn parse_type_section(&mut self, types: &mut TypeSection, section: parser::TypeSectionReader<'_>) -> Result {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32; 2], [ValType::I32]);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: parser::ImportSectionReader<'_>,
    ) -> Result {
        utils::parse_import_section(self, imports, section)?;
        imports.import(MODULE, HOOK, EntityType::Function(size(self.surface.parameters.len())));
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result {
        if after == Some(SectionId::Type) && before != Some(SectionId::Import) {
            let mut imports = ImportSection::new();
            imports.import(MODULE, HOOK, EntityType::Function(size(self.surface.parameters.len())));
            module.section(&imports);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: parser::FunctionSectionReader<'_>,
    ) -> Result {
        utils::parse_function_section(self, functions, section)?;
        for entry in &self.surface.entries {
            functions.function(self.surface.type_of(*entry));
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: parser::ExportSectionReader<'_>,
    ) -> Result {
        utils::parse_export_section(self, exports, section)?;
        // A reference to a function is valid if the module exports the function.
        for entry in &self.surface.entries {
            exports.export(&format!("{MODULE}.{entry}"), ExportKind::Func, self.moved(*entry));
        }
        Ok(())
    }

    fn parse_export(&mut self, exports: &mut ExportSection, export: parser::Export<'_>) -> Result {
        if export.kind == ExternalKind::Func {
            exports.export(export.name, ExportKind::Func, self.surface.wrapper(export.index));
            return Ok(());
        }
        utils::parse_export(self, exports, export)
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: parser::CodeSectionReader<'_>) -> Result {
        self.start = section.range().start;
        utils::parse_code_section(self, code, section)?;
        for entry in &self.surface.entries {
            code.function(&self.wrap(*entry));
        }
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: parser::FunctionBody<'_>) -> Result {
        let index = self.surface.imported + self.bodies;
        self.bodies += 1;
        let mut locals = Vec::new();
        let mut depth = self.surface.parameters_of(index);
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            depth += count;
            locals.push((count, self.val_type(ty)?));
        }
        locals.extend([(2, ValType::I32), (1, ValType::I64)]);
        let [narrow, wide] = [depth + 1, depth + 2];
        let mut function = Function::new(locals);
        function.instruction(&Instruction::I32Const(ENTER.cast_signed()));
        function.instruction(&Instruction::I32Const(index.cast_signed()));
        self.hook(&mut function);
        function.instruction(&Instruction::LocalSet(depth));
        let mut operators = body.get_operators_reader()?;
        // A call counts in the function that begins.
        let first = self.begin(&mut function, depth);
        self.code.add(first, operators.original_position() - self.start);
        let mut run = Some(first);
        while !operators.eof() {
            let address = operators.original_position() - self.start;
            let operator = operators.read()?;
            if counts(&operator) {
                let current = run.unwrap_or_else(|| self.begin(&mut function, depth));
                run = Some(current);
                self.code.add(current, address);
            }
            if let Some(is_wide) = self.surface.amount(&operator) {
                let amount = self.code.begin();
                self.code.add(amount, address);
                let local = if is_wide { wide } else { narrow };
                function.instruction(&Instruction::LocalTee(local));
                function.instruction(&Instruction::I32Const((AMOUNT | size(amount)).cast_signed()));
                function.instruction(&Instruction::LocalGet(local));
                if is_wide {
                    function.instruction(&Instruction::I32WrapI64);
                }
                self.hook(&mut function);
                function.instruction(&Instruction::Drop);
            }
            if ends_run(&operator) {
                run = None;
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}

/// Returns the module with the calls, and what they report.
///
/// # Errors
/// The module cannot be read.
pub(super) fn instrument(bytes: &[u8]) -> Result<(Vec<u8>, Code), String> {
    let surface = Surface::read(bytes).map_err(|error| error.to_string())?;
    let mut instrumenter = Instrumenter { surface, code: Code::default(), bodies: 0, start: 0 };
    let mut module = Module::new();
    let read = instrumenter.parse_core_module(&mut module, Parser::new(0), bytes);
    read.map_err(|error| error.to_string())?;
    Ok((module.finish(), instrumenter.code))
}
